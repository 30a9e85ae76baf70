"""Small random models in the form in which published ones are downloaded, written without any other library."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import tokenizers
from safetensors.torch import save_file
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from clearhead.models.build import build_model
from clearhead.pretrained.describe import publish
from clearhead.pretrained.family import configuration
from clearhead.pretrained.published import Published
from clearhead.pretrained.table import FAMILIES

PIECES = 300
SIDES: dict[str, Any] = {"d_model": 16, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 128}
for side in ("encoder", "decoder"):
    SIDES |= {f"{side}_attention_heads": 2, f"{side}_ffn_dim": 24}
MARIAN = SIDES | {"eos_token_id": 0, "pad_token_id": 2, "decoder_start_token_id": 2, "bad_words_ids": [[2]]}
GPT2 = {"n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 128, "bos_token_id": 0, "eos_token_id": 0}


def write_published(folder: Path) -> None:
    """A translator, ``opus-mt-en-de``, and a language model, ``gpt2``."""
    _write(folder / "opus-mt-en-de", "marian", MARIAN, ["</s>", "<unk>", "<pad>"], ["final_logits_bias"])
    _write(folder / "gpt2", "gpt2", GPT2, ["<|endoftext|>"], [])


def _write(folder: Path, family: str, settings: dict[str, Any], special: list[str], tensors: list[str]) -> None:
    folder.mkdir()
    settings = settings | {"model_type": family, "vocab_size": PIECES}
    config = configuration(FAMILIES[family], Published(settings), tensors)
    weights = {name: weight.detach() for name, weight in build_model(config, seed=1).named_parameters()}
    save_file(publish(config, weights, family).tensors, folder / "model.safetensors", {"format": "pt"})
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    _tokenizer(special).save(str(folder / "tokenizer.json"))


def _tokenizer(special: list[str]) -> tokenizers.Tokenizer:
    """Byte-level pieces, the first special one behind a text where there are several."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=PIECES, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(["a small house number", "ein kleines Haus mit Nummer"], trainer)
    if len(special) > 1:
        backend.post_processor = processors.TemplateProcessing(
            single=f"$A {special[0]}", special_tokens=[(special[0], 0)]
        )
    return backend
