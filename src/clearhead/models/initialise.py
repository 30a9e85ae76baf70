"""How every weight begins, in one place.

Matrices: Xavier uniform or normal (Glorot & Bengio 2010), a plain normal of 0.02 (GPT-2), or Xavier uniform scaled by
1/√l in layer l of its stack (Zhang et al. 2019, arXiv 1908.11365). Biases 0, norm gains 1. Embeddings are normal with
deviation W^-1/2, which the √W at their output turns into unit variance. A packed projection is initialised part by
part, as if its parts were separate matrices, so packing changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from clearhead.layers.embedding import LearnedPositions
from clearhead.mechanism.multihead import CrossAttention, SelfAttention
from clearhead.models.config import ModelConfig

Rule = Callable[[Tensor, int], Tensor]  # fills a matrix of layer l, counted from 1


def initialise(model: nn.Module, config: ModelConfig) -> None:
    """Give every parameter of ``model`` its first value, from torch's default generator."""
    fill = RULES[config.initialisation]
    packed, layers = dict(_packed_parts(model)), dict(_layers(model))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                for part in torch.split(module.weight, packed.get(module, [module.out_features])):
                    fill(part, layers.get(module, 1))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
            elif isinstance(module, LearnedPositions):
                nn.init.normal_(module.weight, std=0.02)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)


RULES: dict[str, Rule] = {
    "xavier_uniform": lambda weight, layer: nn.init.xavier_uniform_(weight),
    "xavier_normal": lambda weight, layer: nn.init.xavier_normal_(weight),
    "normal": lambda weight, layer: nn.init.normal_(weight, std=0.02),
    "depth_scaled": lambda weight, layer: nn.init.xavier_uniform_(weight, gain=1 / math.sqrt(layer)),
}


def _layers(model: nn.Module) -> Iterator[tuple[nn.Module, int]]:
    """Every module inside a stack of blocks, with the number of its block, the first being 1."""
    for stack in model.modules():
        if isinstance(stack, nn.ModuleList):
            for number, block in enumerate(stack, start=1):
                yield from ((module, number) for module in block.modules())


def _packed_parts(model: nn.Module) -> Iterator[tuple[nn.Module, list[int]]]:
    for module in model.modules():
        if isinstance(module, SelfAttention):
            yield module.query_key_value, list(module.sizes.projected)
        elif isinstance(module, CrossAttention):
            yield module.key_value, list(module.sizes.projected[1:])
