"""Published language models trained further on texts: first loss, gradients and outcome are those of transformers.

GPT-2, one of whose symbols begins, ends and pads; Llama and Mistral, whose SentencePiece puts a space in front of a
text, and whose texts begin and end differently; Qwen2.
"""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.recipes.read import read_recipe
from clearhead.service.adapter import merge_adapter
from clearhead.service.evaluate import evaluate_run
from clearhead.service.export import export
from clearhead.service.import_pretrained import import_run
from clearhead.service.load import load
from clearhead.service.train import train
from clearhead.training.metrics import read_metrics
from clearhead.training.next_token import next_token

from .foreign import (
    QUICK,
    TEXTS,
    WRITERS,
    begun,
    difference,
    published,
    same_gradients,
    texts_recipe,
    transformers,
    without_blind_rows,
)

LORA = ["model.lora.rank=2", "model.lora.dropout=0.1", "model.lora.targets=['key', 'output', 'feedforward']"]


@pytest.fixture(scope="module", params=WRITERS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published directory."""
    return published(family, tmp_path_factory.mktemp(family) / "published")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """A run that started from it and learnt two texts by heart."""
    settings = [*QUICK, "training.updates=120", "training.validate_every=60", "training.checkpoint_every=60"]
    list(train(read_recipe(texts_recipe(folder.parent / "data", folder), settings), folder.parent / "trained"))
    return folder.parent / "trained"


@pytest.fixture(scope="module")
def begun_run(folder: Path) -> Path:
    """A run of few updates, lower layers learning more slowly."""
    recipe = texts_recipe(folder.parent / "data", folder)
    list(train(read_recipe(recipe, [*QUICK, "training.layer_decay=0.8"]), folder.parent / "begun"))
    return folder.parent / "begun"


def documents(folder: Path, corpus: Any) -> list[list[int]]:
    """Each text whole as transformers' tokenizer cuts it, inside the symbols that begin and end a text."""
    cutter = transformers.AutoTokenizer.from_pretrained(folder)
    symbols = corpus.symbols
    return [
        [symbols.start, *cutter(text, add_special_tokens=False)["input_ids"], *symbols.closing]
        for text in TEXTS.values()
    ]


def summed(model: Any, ids: list[int]) -> Tensor:
    """The loss of one text by itself, as transformers computes it, summed over its tokens."""
    row = torch.tensor([ids])
    loss: Tensor = model(input_ids=row, labels=row).loss * (len(ids) - 1)
    return loss


@pytest.mark.parametrize("family", [*WRITERS, "mistral", "qwen2", "qwen3"], indirect=True)
def test_the_first_loss_and_its_gradients_are_transformers(folder: Path, tmp_path: Path) -> None:
    """Both texts packed into one row here, each by itself there."""
    prepared, ours = begun(texts_recipe(tmp_path / "data", folder, length=120), tmp_path / "run")
    corpus: Any = prepared.corpus
    batch = corpus.batch(np.arange(len(corpus)))
    texts = documents(folder, corpus)
    assert batch.targets[batch.mask].tolist() == [token for text in texts for token in text[1:]]
    assert batch.ids[batch.mask].tolist() == [token for text in texts for token in text[:-1]]
    assert len(batch) == 1 and batch.documents is not None
    loss = next_token(0.0)(ours, batch, 1)
    (loss.total / batch.tokens).backward()
    theirs = without_blind_rows(transformers.AutoModelForCausalLM.from_pretrained(folder).eval())
    wanted = torch.stack([summed(theirs, text) for text in texts]).sum() / batch.tokens
    wanted.backward()
    assert float(loss.total.detach()) / batch.tokens == pytest.approx(float(wanted.detach()), rel=1e-5)
    same_gradients(folder, ours, theirs)


@pytest.mark.parametrize("family", [*WRITERS, "mistral", "qwen2", "qwen3"], indirect=True)
def test_rows_that_go_on_are_read_so(folder: Path, tmp_path: Path) -> None:
    """Continuous packing: one stream in rows, whatever stands in them, the shorter last row padded."""
    prepared, ours = begun(texts_recipe(tmp_path / "data", folder, "continuous", length=23), tmp_path / "run")
    corpus: Any = prepared.corpus
    batch = corpus.batch(np.arange(len(corpus)))
    assert batch.documents is None and not batch.mask.all()
    loss = next_token(0.0)(ours, batch, 1)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = theirs(input_ids=batch.ids, attention_mask=batch.mask.long()).logits
    wanted = torch.nn.functional.cross_entropy(logits[batch.mask], batch.targets[batch.mask], reduction="sum")
    assert float(loss.total.detach()) == pytest.approx(float(wanted), rel=1e-5)


def test_training_lowers_the_loss(trained: Path) -> None:
    losses = [line["loss"] for line in read_metrics(trained / "metrics.jsonl") if line["event"] == "progressed"]
    assert losses[-1] < 0.2 * losses[0]


def test_stopped_and_resumed_it_is_the_same_run(begun_run: Path, folder: Path, tmp_path: Path) -> None:
    origin = Path(shutil.copytree(folder, tmp_path / "origin"))
    recipe = read_recipe(texts_recipe(tmp_path / "data", origin), [*QUICK, "training.layer_decay=0.8"])
    events = train(recipe, tmp_path / "halves")
    list(itertools.takewhile(lambda event: event.kind != "progressed" or event.update < 5, events))
    events.close()
    shutil.rmtree(origin)
    list(train(tmp_path / "halves" / "recipe.toml", tmp_path / "halves", resume=True))
    assert (tmp_path / "halves/model.safetensors").read_bytes() == (begun_run / "model.safetensors").read_bytes()


def test_from_the_directory_or_from_its_run_is_the_same(begun_run: Path, folder: Path, tmp_path: Path) -> None:
    import_run(folder, tmp_path / "imported")
    recipe = texts_recipe(tmp_path / "data", tmp_path / "imported")
    list(train(read_recipe(recipe, [*QUICK, "training.layer_decay=0.8"]), tmp_path / "run"))
    for name in ("model.safetensors", "config.json", "tokenizer/shared.json"):
        assert (tmp_path / "run" / name).read_bytes() == (begun_run / name).read_bytes(), name


def test_exported_it_is_what_transformers_says_it_is(trained: Path, family: str, tmp_path: Path) -> None:
    assert export(trained, "huggingface", tmp_path / "out").kind == family
    ours, theirs = load(trained), transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").eval()
    cutter = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    ends = ours.task.tokenizer.symbols.ends
    for prompt in ("two households", "From ancient"):
        ids = torch.tensor([ours.task.prompt(cutter(prompt, add_special_tokens=False)["input_ids"])])
        with torch.no_grad():
            assert difference(ours.logits(ids), theirs(ids).logits) <= 1e-5
            told = theirs.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=13)
        (answer,) = ours.predict([prompt], beam=1, sample=False, max_length=13)
        written = told[0, ids.shape[1] :].tolist()
        tokens = list(itertools.takewhile(lambda token: token not in ends, written))
        assert list(answer.alternatives[0].pieces) == ours.task.tokenizer.pieces(tokens)
        assert any(text.startswith(str(answer)) for text in TEXTS.values())


def test_it_is_scored_and_looked_into(trained: Path) -> None:
    scored = evaluate_run(trained).scored
    assert scored.split == "valid" and 0 < scored.loss < 1
    assert scored.details["characters"] == len(TEXTS["two.txt"])
    ours = load(trained)
    seen = ours.inspect("to new mutiny")
    assert list(seen.source)[:1] == ours.task.tokenizer.pieces([ours.task.tokenizer.symbols.start])


@pytest.mark.parametrize("family", ["gpt2"], indirect=True)
def test_adapters_alone_come_to_the_same_run(folder: Path, tmp_path: Path) -> None:
    list(train(read_recipe(texts_recipe(tmp_path / "data", folder), [*QUICK, *LORA]), tmp_path / "run"))
    merged = merge_adapter(tmp_path / "run/adapter.safetensors", str(folder), tmp_path / "merged")
    assert merged.weights_file.read_bytes() == (tmp_path / "run/model.safetensors").read_bytes()
    import_run(folder, tmp_path / "imported")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("imported", "run"))
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed and all(".self_attention." in name or ".feedforward." in name for name in changed)


def test_what_is_frozen_stays_to_the_bit(folder: Path, tmp_path: Path) -> None:
    frozen = [*QUICK, "training.freeze_all_but_last=1"]
    list(train(read_recipe(texts_recipe(tmp_path / "data", folder), frozen), tmp_path / "run"))
    import_run(folder, tmp_path / "imported")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("imported", "run"))
    same = {name for name in after if torch.equal(before[name], after[name])}
    assert same == {name for name in after if name.startswith(("decoder.embedding", "decoder.blocks.0."))}


def test_half_precision_is_trained_further_in_float32(tmp_path: Path) -> None:
    """From the directory or from its run, which keeps the dtype: the same numbers lie in the folder that starts."""
    folder = published("llama", tmp_path / "published", torch.bfloat16)
    import_run(folder, tmp_path / "imported")
    assert {t.dtype for t in load_file(tmp_path / "imported/model.safetensors").values()} == {torch.bfloat16}
    for name, origin in (("one", folder), ("other", tmp_path / "imported")):
        begun(texts_recipe(tmp_path / "data", origin), tmp_path / name)
    files = [(tmp_path / name / "start/model.safetensors").read_bytes() for name in ("one", "other")]
    assert files[0] == files[1]


@pytest.mark.parametrize("family", ["gpt2"], indirect=True)
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("tokenizer.subword_dropout=0.1", "tokenizer.subword_dropout: a language model's text is cut in one way"),
        ("tokenizer.kind=bytes", r"tokenizer\.kind: .* brings its own tokenizer, of which nothing can be chosen anew"),
        ("data.length=129", r"data\.length = 129 makes longer rows than model\.max_positions = 128 has room for"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, setting: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said):
        list(train(read_recipe(texts_recipe(tmp_path / "data", folder), [*QUICK, setting]), tmp_path / "run"))
    assert not (tmp_path / "run").exists()
