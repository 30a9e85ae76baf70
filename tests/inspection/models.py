"""Small networks of unequal sizes, one of each kind, in float64 and with weights that leave nothing near zero."""

from __future__ import annotations

from typing import Any

import torch

from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig

WORDS = 31


def model(**changes: Any) -> Any:
    sizes: dict[str, Any] = {
        "width": 12, "heads": 2, "feedforward": 13, "encoder_layers": 1, "decoder_layers": 2, "classes": 5,
        "source_vocabulary": WORDS, "target_vocabulary": WORDS,
    }  # fmt: skip
    network = build_model(ModelConfig(**sizes | changes), seed=1).double().eval()
    with torch.no_grad():
        torch.manual_seed(7)
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return network


def words(*shape: int) -> torch.Tensor:
    return torch.randint(4, WORDS, shape)
