"""Tiny encoder–decoders of unequal sizes that differ in everything a configuration can say."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from clearhead.models.config import ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
SOURCE_WORDS = TARGET_WORDS = 31
PAD, START = 0, 2

_SIZES: dict[str, Any] = {
    "width": 24, "heads": 3, "feedforward": 29, "encoder_layers": 2, "decoder_layers": 3, "max_positions": 131,
    "source_vocabulary": SOURCE_WORDS, "target_vocabulary": TARGET_WORDS, "dropout": 0.0,
}  # fmt: skip
VARIANTS: dict[str, dict[str, Any]] = {
    "pre": {},
    "post": {"norm_order": "post", "activation": "gelu"},
    "grouped": {"heads": 6, "key_value_heads": 2, "key_width": 5, "value_width": 7, "tie": "target"},
    "learned": {"positions": "learned", "activation": "silu", "tie": "none", "key_value_heads": 1},
    "without positions": {"positions": "none"},
    "rotary": {"positions": "rotary", "norm": "rms", "activation": "swiglu", "window": 40},
    "t5": {"positions": "t5", "score": "bilinear", "normalizer": "sigmoid", "norm": "rms"},
}


def config(variant: str = "pre", **changes: Any) -> ModelConfig:
    return ModelConfig(**_SIZES | VARIANTS[variant] | changes)


def model(variant: str = "pre", **changes: Any) -> EncoderDecoder:
    """One with biases and gains of their own, in evaluation; sharper than a fresh one, so that mistakes show."""
    built = EncoderDecoder(config(variant, **changes)).eval()
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    return built


def ids(rows: int, columns: int) -> Tensor:
    """Words only, none of the special symbols."""
    return torch.randint(4, SOURCE_WORDS, (rows, columns))


def real(*lengths: int) -> Tensor:
    """A padding mask (B, S), True = real."""
    return torch.arange(max(lengths))[None, :] < torch.tensor(lengths)[:, None]
