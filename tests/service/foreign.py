"""Small random models that write, as others publish them, and a job for each: pairs to translate, texts to go on with.

Tokenizers are trained in ``pretrained.test_tokenizer``; sizes are odd, weights larger than at initialisation.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clearhead.models.build import build_model
from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.read import understand
from clearhead.recipes.read import read_recipe
from clearhead.service.run_folder import RunFolder
from clearhead.service.start import bring, complete
from clearhead.service.tasks.table import TASKS
from clearhead.service.tasks.task import Prepared

from ..pretrained import test_tokenizer as tokenizers_of
from .toy import translate, write_lines

transformers = pytest.importorskip("transformers", reason="needs transformers, whose models are started from")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

SIDES: dict[str, Any] = {"d_model": 22, "encoder_layers": 2, "decoder_layers": 1, "max_position_embeddings": 24}
for side in ("encoder", "decoder"):
    SIDES |= {f"{side}_attention_heads": 2, f"{side}_ffn_dim": 19}
T5: dict[str, Any] = {"d_model": 22, "d_kv": 7, "d_ff": 19, "num_layers": 2, "num_decoder_layers": 1, "num_heads": 3}
GPT: dict[str, Any] = {"n_embd": 22, "n_layer": 2, "n_head": 2, "n_positions": 128}
LLAMA: dict[str, Any] = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 19}
LLAMA |= {"num_key_value_heads": 2, "max_position_embeddings": 128}

# family → who writes its tokenizer, the published classes, settings
KINDS: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    "marian": ("marian", "MarianMTModel", "MarianConfig", SIDES | {"scale_embedding": True}),
    "marian-two": ("marian", "MarianMTModel", "MarianConfig", SIDES | {"share_encoder_decoder_embeddings": False}),
    "bart": ("bart", "BartForConditionalGeneration", "BartConfig", SIDES),
    "t5": ("t5", "T5ForConditionalGeneration", "T5Config", T5 | {"feed_forward_proj": "gated-gelu"}),
    "gpt2": ("gpt2", "GPT2LMHeadModel", "GPT2Config", GPT),
    "llama": ("llama", "LlamaForCausalLM", "LlamaConfig", LLAMA | {"head_dim": 10}),
    "mistral": ("llama", "MistralForCausalLM", "MistralConfig", LLAMA | {"head_dim": 10, "sliding_window": 9}),
    "qwen2": ("qwen2", "Qwen2ForCausalLM", "Qwen2Config", LLAMA),
    "qwen3": ("qwen2", "Qwen3ForCausalLM", "Qwen3Config", LLAMA | {"head_dim": 10}),
}
TRANSLATORS, WRITERS = ("marian", "bart", "t5"), ("gpt2", "llama")
QUICK = ["training.updates=10", "training.warmup=2", "training.validate_every=5", "training.checkpoint_every=2"]
QUICK += ["training.log_every=1", "training.snapshot_every=5", "training.keep=last"]
TRAINING = """
[training]
learning_rate = 0.01
schedule = "cosine"
label_smoothing = 0.0
precision = "float32"
threads = 1
watch = "loss"
"""


def published(family: str, folder: Path, dtype: torch.dtype = torch.float32) -> Path:
    """The directory of one model."""
    write, model_class, config_class, settings = KINDS[family]
    folder.mkdir(parents=True)
    special = getattr(tokenizers_of, write)(folder) | {"vocab_size": _rows(folder)}
    del special["model_type"]
    if family == "mistral":  # as it is published today, and as its own class reads it
        transformers.LlamaTokenizer.from_pretrained(folder).save_pretrained(folder)
    words = special.pop("bad_words_ids", None)
    if family == "marian-two":
        settings = settings | {"decoder_vocab_size": _second_vocabulary(folder)}
    torch.manual_seed(5)
    model = getattr(transformers, model_class)(getattr(transformers, config_class)(**settings, **special)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embed_positions" not in name or family == "bart":
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.generation_config.bad_words_ids = words
    model.to(dtype).save_pretrained(folder)
    return folder


def _second_vocabulary(folder: Path) -> int:
    """The target gets a vocabulary of its own, ordinary pieces numbered the other way round; how many rows it has."""
    first = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
    ordinary = [piece for piece, number in first.items() if 3 <= number < len(first) - 1]
    second = first | dict(zip(ordinary, map(first.__getitem__, reversed(ordinary)), strict=True))
    (folder / "target_vocab.json").write_text(json.dumps(second), encoding="utf-8")
    said = {"separate_vocabs": True, "tokenizer_class": "MarianTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(said), encoding="utf-8")
    return len(second) + 3


def _rows(folder: Path) -> int:
    """Rows of the embedding: more than there are pieces, as published models often have."""
    listed = folder / "vocab.json"
    return 7 + len(json.loads(listed.read_text(encoding="utf-8"))) if listed.is_file() else 1609


def pairs_recipe(folder: Path, origin: Path, more: str = "") -> Path:
    """Digits to German words, to be learnt by the model in ``origin``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, numbers in (("train", range(1, 61)), ("valid", range(61, 67)), ("test", range(67, 73))):
        rows = [[n % 10, *([7 * n % 10] if n % 4 == 0 else [])] for n in numbers]
        write_lines(folder / f"{name}.src", [" ".join(map(str, row)) for row in rows])
        write_lines(folder / f"{name}.tgt", [translate(row) for row in rows])
    files = "".join(f'{name} = {{ source = "{name}.src", target = "{name}.tgt" }}\n' for name in ("train", "valid"))
    text = f'task = "translation"\n[data]\n{files}max_length = 20\n[model]\nfrom = "{origin}"\n{more}{TRAINING}'
    text += "batch_tokens = 120\n[decoding]\nbeam = 1\nmax_length = 12\nmax_ratio = 9.0\n"
    (folder / "pairs.toml").write_text(text, encoding="utf-8")
    return folder / "pairs.toml"


TEXTS = {
    "one.txt": "two households, both alike in dignity,\n\n    in fair verona, where we lay our scene,\n",
    "two.txt": "From ancient grudge break\nto new mutiny!\n\n\n  Where civil blood\n",
}


def texts_recipe(folder: Path, origin: Path, packing: str = "documents", length: int = 120) -> Path:
    """Two texts of several lines, blank ones and spaces among them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    names = json.dumps(list(TEXTS))
    text = f'task = "language-model"\n[data]\ntrain = {{ files = {names} }}\nvalid = {{ files = ["two.txt"] }}\n'
    text += f'length = {length}\npacking = "{packing}"\n[model]\nfrom = "{origin}"\n{TRAINING}'
    (folder / "texts.toml").write_text(text + "batch_tokens = 120\n", encoding="utf-8")
    return folder / "texts.toml"


KILLED = """
import os, signal, sys
from clearhead.recipes.read import read_recipe
from clearhead.service.train import train

for event in train(read_recipe(sys.argv[1], sys.argv[3:]), sys.argv[2]):
    if event.kind == "progressed" and event.update == 7:
        os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(recipe: Path, settings: list[str], out: Path) -> None:
    """Train in a process of its own, which is killed with SIGKILL after update 7."""
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", KILLED, str(recipe), str(out), *settings]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def begun(recipe: Path, out: Path) -> tuple[Prepared, nn.Module]:
    """Data and model as they are before the first update, without dropout."""
    checked = complete(read_recipe(recipe))
    run = RunFolder.create(out, checked)
    start = bring(str(checked.model.origin), run, checked.task)
    prepared = TASKS[checked.task].prepare(checked, run)
    model = build_model(prepared.model, seed=1).eval()
    start.fill(model, prepared.model)
    return prepared, model


def same_gradients(folder: Path, ours: nn.Module, theirs: nn.Module, tolerance: float = 1e-4) -> None:
    """Hold every gradient of ``ours`` against ``theirs``, name by name, relative to the largest number in it.

    What ``theirs`` does not train, as a bias that is a buffer there, is passed over; 1e-5 counts as nothing, which a
    bias of keys gets but for rounding.
    """
    source = understand(ModelDirectory.open(folder))
    own, other = dict(ours.named_parameters()), dict(theirs.named_parameters())
    found = {
        name: gradient
        for row in source.family.rows(source.config)
        for name, gradient in zip(row.theirs, row.unpack(own[row.ours].grad), strict=True)
    }
    wanted = {name: parameter.grad for name, parameter in other.items() if parameter.grad is not None}
    assert wanted.keys() <= found.keys()
    assert {name: off for name in wanted if (off := difference(found[name], wanted[name])) > tolerance} == {}


def difference(found: Tensor, wanted: Tensor) -> float:
    """The largest, relative to the largest number wanted."""
    assert found.shape == wanted.shape
    return float((found - wanted).abs().max() / wanted.abs().max().clamp(min=1e-5))


def without_blind_rows(theirs: nn.Module) -> nn.Module:
    """The same model whose every row of an embedding gets its gradient: torch can hold one back, that of padding."""
    for module in theirs.modules():
        if isinstance(module, nn.Embedding):
            module.padding_idx = None
    return theirs
