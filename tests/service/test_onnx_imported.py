"""Imported models as ONNX files: whoever has onnxruntime, tokenizers and what onnx.json says writes the same tokens."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tokenizers
import torch
from safetensors.torch import load_file, save_file

from clearhead.service.export import export
from clearhead.service.import_pretrained import import_run
from clearhead.service.load import load

from ..pretrained.test_tokenizer import bart, bert, gpt2, llama, marian, qwen2, roberta, t5
from .exported import greedy, near, remembered, session, walked

pytest.importorskip("onnxruntime")
transformers = pytest.importorskip("transformers")
TEXTS = ("The 3rd of May in Deutschland", "Frankreich", "two households, both alike in dignity")
LONGEST = 17
T5 = {"vocab_size": 1700, "d_model": 30, "d_kv": 7, "d_ff": 41, "num_layers": 2, "num_decoder_layers": 3}
T5 |= {"num_heads": 5, "decoder_start_token_id": 0, "relative_attention_num_buckets": 8}
T5 |= {"relative_attention_max_distance": 11}
LLAMA = {"vocab_size": 1700, "hidden_size": 30, "num_hidden_layers": 3, "num_attention_heads": 6}
LLAMA |= {"intermediate_size": 37, "num_key_value_heads": 3, "head_dim": 14, "max_position_embeddings": 64}
LLAMA_3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA_3 |= {"original_max_position_embeddings": 16}
NARROW = {name: size for name, size in LLAMA.items() if name != "head_dim"} | {"hidden_size": 36}
SIDES = {"d_model": 24, "max_position_embeddings": 64}
SIDES |= {"encoder_layers": 2, "encoder_attention_heads": 3, "encoder_ffn_dim": 29}
SIDES |= {"decoder_layers": 2, "decoder_attention_heads": 3, "decoder_ffn_dim": 29}
ENCODER = {"vocab_size": 1500, "hidden_size": 30, "num_hidden_layers": 3, "num_attention_heads": 5}
ENCODER |= {"intermediate_size": 37, "max_position_embeddings": 64}
BYTES = {"vocab_size": 1500, "bos_token_id": 0, "eos_token_id": 0}
# name → the tokenizer's files, the published class, settings
CASES: dict[str, tuple[Callable[[Path], dict[str, Any]], str, dict[str, Any]]] = {
    "BERT": (bert, "BertModel", ENCODER),
    "RoBERTa": (roberta, "RobertaForMaskedLM", ENCODER),
    "T5 1.0": (t5, "T5ForConditionalGeneration", T5),
    "T5 1.1": (t5, "T5ForConditionalGeneration", T5 | {"feed_forward_proj": "gated-gelu"}),
    "BART": (bart, "BartForConditionalGeneration", SIDES | {"vocab_size": 1500}),
    "Marian": (marian, "MarianMTModel", SIDES),
    "GPT-2": (gpt2, "GPT2LMHeadModel", BYTES | {"n_embd": 30, "n_layer": 3, "n_head": 5, "n_positions": 64}),
    "Llama": (llama, "LlamaForCausalLM", LLAMA),
    "Llama 3": (llama, "LlamaForCausalLM", LLAMA | {"rope_parameters": LLAMA_3, "tie_word_embeddings": True}),
    "Mistral": (llama, "MistralForCausalLM", LLAMA | {"sliding_window": 5}),
    "Qwen2": (qwen2, "Qwen2ForCausalLM", NARROW | BYTES),
    "Qwen3": (qwen2, "Qwen3ForCausalLM", LLAMA | BYTES),
}
WRITERS = [name for name, (_, kind, _) in CASES.items() if kind.endswith("ForCausalLM") or name == "GPT-2"]
ENCODERS = ["BERT", "RoBERTa"]
READERS = [name for name in CASES if name not in (*WRITERS, *ENCODERS)]


@torch.no_grad()
def exported(name: str, folder: Path) -> tuple[Any, Path, dict[str, Any]]:
    """The imported model, the folder of its ONNX files, and what onnx.json says of special symbols."""
    write, kind, settings = CASES[name]
    (original := folder / "published").mkdir()
    settings = {"vocab_size": None} | write(original) | settings
    settings["vocab_size"] = settings["vocab_size"] or settings["pad_token_id"] + 1
    torch.manual_seed(3)
    model_class = getattr(transformers, kind)
    model = model_class(model_class.config_class(**settings)).eval()
    for key, parameter in model.named_parameters():
        if name.startswith("T5") and key == "shared.weight":
            parameter.mul_(0.1)  # so that the stream is not the token itself, which would then be repeated
        elif "embed_positions" not in key:
            parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(original)
    if name == "T5 1.1":
        own_output(original)
    import_run(original, folder / "run")
    written = export(folder / "run", "onnx", folder / "onnx")
    told = json.loads((written.folder / "onnx.json").read_text(encoding="utf-8"))
    return load(folder / "run", device="cpu"), written.folder, told["symbols"]


def own_output(folder: Path) -> None:
    """An output matrix that is not the embedding, which version 1.1 has."""
    file, config = folder / "model.safetensors", folder / "config.json"
    save_file(load_file(file) | {"lm_head.weight": torch.randn(1700, 30)}, file, {"format": "pt"})
    table = json.loads(config.read_text(encoding="utf-8")) | {"tie_word_embeddings": False}
    table.pop("scale_decoder_outputs", None)
    config.write_text(json.dumps(table), encoding="utf-8")


@pytest.mark.parametrize("name", ENCODERS)
@torch.no_grad()
def test_an_encoder_reads_alike(name: str, tmp_path: Path) -> None:
    ours, folder, symbols = exported(name, tmp_path)
    running = session((folder / "model.onnx").read_bytes())
    cutter = tokenizers.Tokenizer.from_file(str(folder / "tokenizer-shared.json"))
    special = symbols["source"]
    texts = [cutter.encode(text, add_special_tokens=False).ids for text in TEXTS]
    rows = [[*special["before"], *row, *special["after"]] for row in texts]
    longest = max(map(len, rows))
    mask = torch.tensor([[place < len(row) for place in range(longest)] for row in rows])
    ids = torch.tensor([row + [special["pad"]] * (longest - len(row)) for row in rows])
    given = {"ids": ids.numpy(), "mask": mask.numpy()}
    near(running.run(["states"], given)[0][mask.numpy()], ours.model.states(ids, mask=mask)[mask])
    last, wanted = ("pooled", ours.model.hidden) if name == "BERT" else ("logits", ours.model.logits)
    shown = torch.ones(len(rows), dtype=torch.bool) if name == "BERT" else mask
    near(running.run([last], given)[0][shown.numpy()], wanted(ids, mask=mask)[shown])


@pytest.mark.parametrize("name", READERS)
def test_an_encoder_decoder_writes_the_same_tokens(name: str, tmp_path: Path) -> None:
    ours, folder, symbols = exported(name, tmp_path)
    encoder, step = (session((folder / f"{part}.onnx").read_bytes()) for part in ("encoder", "step"))
    for text in TEXTS:
        (read,) = ours.task.source.encode([text])
        if name != "Marian":
            (shared,) = folder.glob("tokenizer-*.json")
            assert tokenizers.Tokenizer.from_file(str(shared)).encode(text, add_special_tokens=False).ids == read
        ids = torch.tensor([[*symbols["source"]["before"], *read, *symbols["source"]["after"]]])
        states, memory = remembered(encoder, ids, torch.ones(ids.shape, dtype=torch.bool))
        near(states, ours.model.states(ids))
        wrote = greedy(step, symbols["target"], [symbols["target"]["start"]], LONGEST, memory)
        (answer,) = ours.predict([text], beam=1, max_length=LONGEST, end_at_limit=False)
        kept = [each for each in wrote if each not in symbols["target"]["ends"]]
        assert ours.task.target.pieces(kept) == list(answer.alternatives[0].pieces)
        fed = torch.tensor([[symbols["target"]["start"], *wrote]])
        near(walked(step, ours.model.config, fed, memory, (3, fed.shape[1] - 3)), ours.model.logits(ids, fed))


@pytest.mark.parametrize("name", WRITERS)
def test_a_language_model_goes_on_alike(name: str, tmp_path: Path) -> None:
    ours, folder, symbols = exported(name, tmp_path)
    step = session((folder / "step.onnx").read_bytes())
    endless = symbols["target"] | {"never": [*symbols["target"]["never"], *symbols["target"]["ends"]]}
    cutter = tokenizers.Tokenizer.from_file(str(folder / "tokenizer-shared.json"))
    for text in TEXTS:
        prompt = [*symbols["target"]["before"], *cutter.encode(text, add_special_tokens=False).ids]
        wrote = greedy(step, endless, prompt, LONGEST)
        (answer,) = ours.predict([text], beam=1, sample=False, max_length=LONGEST, min_length=LONGEST)
        assert ours.task.tokenizer.pieces(wrote) == list(answer.alternatives[0].pieces)
