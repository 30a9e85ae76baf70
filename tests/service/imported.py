"""Runs of small random models as others publish them, imported: BERT, GPT-2 and Llama with tokenizers trained here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.service.import_pretrained import import_run

from ..pretrained.test_tokenizer import bert, gpt2, llama

TEXT = "The 3rd of May in Deutschland"


def import_all(folder: Path) -> dict[str, Path]:
    """Run folders by family."""
    return {name: _imported(name, folder) for name in ("bert", "gpt2", "llama")}


def _imported(name: str, folder: Path) -> Path:
    original = folder / f"{name}-published"
    original.mkdir(parents=True)
    torch.manual_seed(3)
    _model(name, original).eval().save_pretrained(original)
    import_run(original, folder / name)
    return folder / name


def _model(name: str, folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 29}
    if name == "bert":
        bert(folder)
        return transformers.BertModel(
            transformers.BertConfig(vocab_size=_words(folder / "vocab.txt"), max_position_embeddings=64, **sizes)
        )
    if name == "gpt2":
        gpt2(folder)
        return transformers.GPT2LMHeadModel(
            transformers.GPT2Config(
                vocab_size=1700, n_embd=24, n_layer=2, n_head=3, n_positions=64, bos_token_id=0, eos_token_id=0
            )
        )
    llama(folder)
    return transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=1700, num_key_value_heads=1, head_dim=8, max_position_embeddings=64, **sizes
        )
    )


def _words(vocabulary: Path) -> int:
    return vocabulary.read_text(encoding="utf-8").count("\n")
