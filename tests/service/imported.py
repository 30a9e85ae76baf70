"""Runs of small random models as others publish them, imported, with tokenizers trained here.

BERT, GPT-2, Llama, and the encoder–decoders Marian, BART and T5.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.service.import_pretrained import import_run

from ..pretrained.test_tokenizer import bart, bert, gpt2, llama, marian, t5

TEXT = "The 3rd of May in Deutschland"
ENCODER_DECODERS = ("marian", "bart", "t5")
FAMILIES = ("bert", "gpt2", "llama", *ENCODER_DECODERS)


def import_all(folder: Path) -> dict[str, Path]:
    """Run folders by family."""
    return {name: _imported(name, folder) for name in FAMILIES}


def published(name: str, folder: Path) -> Path:
    """A small random model of the family in ``folder``, as transformers saves it, with a tokenizer."""
    folder.mkdir(parents=True)
    torch.manual_seed(3)
    _model(name, folder).eval().save_pretrained(folder)
    return folder


def _imported(name: str, folder: Path) -> Path:
    import_run(published(name, folder / f"{name}-published"), folder / name)
    return folder / name


def _model(name: str, folder: Path) -> Any:
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 29}
    if name == "bert":
        bert(folder)
        return transformers.BertModel(
            transformers.BertConfig(vocab_size=_words(folder / "vocab.txt"), max_position_embeddings=64, **sizes)
        )
    if name in ENCODER_DECODERS:
        return _encoder_decoder(transformers, name, folder)
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


def _encoder_decoder(transformers: Any, name: str, folder: Path) -> Any:
    if name == "t5":
        t5(folder)
        return transformers.T5ForConditionalGeneration(
            transformers.T5Config(
                vocab_size=1700, d_model=24, d_kv=8, d_ff=29, num_layers=2, num_heads=3, decoder_start_token_id=0
            )
        )
    sizes: dict[str, Any] = {"d_model": 24, "max_position_embeddings": 64}
    for side in ("encoder", "decoder"):
        sizes |= {f"{side}_layers": 2, f"{side}_attention_heads": 3, f"{side}_ffn_dim": 29}
    if name == "bart":
        special = bart(folder)
        return transformers.BartForConditionalGeneration(transformers.BartConfig(vocab_size=1700, **sizes | special))
    special = marian(folder)
    settings = transformers.MarianConfig(**sizes | special | {"vocab_size": special["pad_token_id"] + 1})
    return transformers.MarianMTModel(settings)


def _words(vocabulary: Path) -> int:
    return vocabulary.read_text(encoding="utf-8").count("\n")
