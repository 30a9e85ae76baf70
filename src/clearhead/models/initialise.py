"""How every weight begins, in one place.

Matrices: Xavier uniform or normal (Glorot & Bengio 2010), Kaiming uniform or normal (He et al. 2015), a plain normal of
``initial_std`` (0.02 in GPT-2), or Xavier uniform scaled by 1/√l in layer l of its stack (Zhang et al. 2019, arXiv
1908.11365). Biases 0, but that of an LSTM's forget gate 1 (Gers et al. 2000); norm gains 1. Embeddings are normal with
deviation W^-1/2, which the √W at their output turns into unit variance; the rows of n-grams so that the mean of some
twenty of them has it. A packed projection is initialised part by part, as if its parts were separate matrices, so
packing changes nothing. Weights of a score are its own affair (``mechanism.scores``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Protocol

import torch
from torch import Tensor, nn

from clearhead.layers.additive_attention import TanhScore
from clearhead.layers.embedding import LearnedPositions
from clearhead.layers.feedforward import GatedFeedForward
from clearhead.mechanism.multihead import CrossAttention, SelfAttention
from clearhead.mechanism.positions import Buckets
from clearhead.models.config import ModelConfig

NGRAMS_A_WORD = 20
POSITION_STD = 0.02


class Rule(Protocol):
    """Fills a matrix of layer l, counted from 1."""

    def __call__(self, weight: Tensor, layer: int) -> Tensor: ...


def initialise(model: nn.Module, config: ModelConfig) -> None:
    """Give every parameter of ``model`` its first value, from torch's default generator."""
    fill = rule(config)
    packed, layers = dict(_packed_parts(model)), dict(_layers(model))
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.Linear):
                for part in torch.split(module.weight, packed.get(module, [module.out_features])):
                    fill(part, layers.get(module, 1))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.LSTM):
                _fill_lstm(module, partial(fill, layer=layers.get(module, 1)))
            else:
                _fill_rows(module)


RULES: dict[str, Rule] = {
    "xavier_uniform": lambda weight, layer: nn.init.xavier_uniform_(weight),
    "xavier_normal": lambda weight, layer: nn.init.xavier_normal_(weight),
    "kaiming_uniform": lambda weight, layer: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "kaiming_normal": lambda weight, layer: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "depth_scaled": lambda weight, layer: nn.init.xavier_uniform_(weight, gain=1 / math.sqrt(layer)),
}


def rule(config: ModelConfig) -> Rule:
    """How the matrices of this configuration begin."""
    if config.initialisation == "normal":
        return lambda weight, layer: nn.init.normal_(weight, std=config.initial_std)
    return RULES[config.initialisation]


def _fill_rows(module: nn.Module) -> None:
    """What is looked up by number, and the one vector of an LSTM's attention."""
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)
    elif isinstance(module, nn.EmbeddingBag):
        nn.init.normal_(module.weight, std=math.sqrt(NGRAMS_A_WORD / module.embedding_dim))
        nn.init.zeros_(module.weight[0])
    elif isinstance(module, LearnedPositions):
        nn.init.normal_(module.weight, std=POSITION_STD)
    elif isinstance(module, Buckets):
        nn.init.normal_(module.table, std=POSITION_STD)
    elif isinstance(module, TanhScore):
        nn.init.normal_(module.weight, std=len(module.weight) ** -0.5)


def _fill_lstm(module: nn.LSTM, fill: Callable[[Tensor], Tensor]) -> None:
    """Each gate's matrix by itself; the gates stand in the order input, forget, cell, output."""
    for name, parameter in module.named_parameters():
        gates = parameter.chunk(4)
        if name.startswith("weight"):
            for gate in gates:
                fill(gate)
        else:
            nn.init.zeros_(parameter)
            nn.init.constant_(gates[1], float(name.startswith("bias_ih")))


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
        elif isinstance(module, GatedFeedForward):
            yield module.gate_into, [module.out.in_features] * 2
