"""How every weight begins, in one place.

Matrices: Xavier uniform or normal (Glorot & Bengio 2010), a plain normal of 0.02 (GPT-2), or Xavier scaled down with
depth (Zhang et al. 2019, arXiv 1908.11365). Biases 0, norm gains 1. Embeddings are normal with deviation W^-1/2, which
the √W at their output turns into unit variance. A packed projection is initialised part by part, as if its parts were
separate matrices, so packing changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from clearhead.layers.embedding import LearnedPositions
from clearhead.mechanism.multihead import CrossAttention, SelfAttention
from clearhead.models.config import ModelConfig

Initialiser = Callable[[Tensor], Tensor]


def initialise(model: nn.Module, config: ModelConfig) -> None:
    """Give every parameter of ``model`` its first value, from torch's default generator."""
    fill = _matrix_rule(config)
    packed = dict(_packed_parts(model))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                for part in module.weight.split(packed.get(module, [module.out_features])):
                    fill(part)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
            elif isinstance(module, LearnedPositions):
                nn.init.normal_(module.weight, std=0.02)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)


def _matrix_rule(config: ModelConfig) -> Initialiser:
    depth = max(1, config.encoder_layers + config.decoder_layers)
    rules: dict[str, Initialiser] = {
        "xavier_uniform": nn.init.xavier_uniform_,
        "xavier_normal": nn.init.xavier_normal_,
        "normal": lambda weight: nn.init.normal_(weight, std=0.02),
        "depth_scaled": lambda weight: nn.init.xavier_uniform_(weight, gain=1 / math.sqrt(depth)),
    }
    return rules[config.initialisation]


def _packed_parts(model: nn.Module) -> Iterator[tuple[nn.Module, list[int]]]:
    for module in model.modules():
        if isinstance(module, SelfAttention):
            yield module.query_key_value, list(module.sizes.projected)
        elif isinstance(module, CrossAttention):
            yield module.key_value, list(module.sizes.projected[1:])
