"""Weights of ``torch.nn``'s Transformer modules read into ours, and gradients compared parameter by parameter.

``*_pairs`` list what is the same in both, by a name that shows up when it differs; where torch packs one matrix and we
have two, ours is the two put together.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from clearhead.layers.block import DecoderBlock, EncoderBlock
from clearhead.mechanism.multihead import CrossAttention, SelfAttention

Pair = tuple[str, Tensor, Tensor]  # name, ours, torch's, of the same shape


def norm_pairs(ours: nn.LayerNorm, theirs: nn.LayerNorm, name: str) -> Iterator[Pair]:
    yield f"{name}.weight", ours.weight, theirs.weight
    yield f"{name}.bias", ours.bias, theirs.bias


def linear_pairs(ours: nn.Linear, theirs: nn.Linear, name: str) -> Iterator[Pair]:
    yield f"{name}.weight", ours.weight, theirs.weight
    yield f"{name}.bias", ours.bias, theirs.bias


def self_attention_pairs(ours: SelfAttention, theirs: nn.MultiheadAttention, name: str = "self") -> Iterator[Pair]:
    yield f"{name}.qkv.weight", ours.query_key_value.weight, theirs.in_proj_weight
    yield f"{name}.qkv.bias", ours.query_key_value.bias, theirs.in_proj_bias
    yield from linear_pairs(ours.output, theirs.out_proj, f"{name}.output")


def cross_attention_pairs(ours: CrossAttention, theirs: nn.MultiheadAttention, name: str = "cross") -> Iterator[Pair]:
    weight = torch.cat((ours.query.weight, ours.key_value.weight))
    bias = torch.cat((ours.query.bias, ours.key_value.bias))
    yield f"{name}.qkv.weight", weight, theirs.in_proj_weight
    yield f"{name}.qkv.bias", bias, theirs.in_proj_bias
    yield from linear_pairs(ours.output, theirs.out_proj, f"{name}.output")


def encoder_pairs(ours: EncoderBlock, theirs: nn.TransformerEncoderLayer, name: str = "block") -> Iterator[Pair]:
    yield from self_attention_pairs(ours.self_attention, theirs.self_attn, f"{name}.self")
    yield from linear_pairs(ours.feedforward.into, theirs.linear1, f"{name}.into")
    yield from linear_pairs(ours.feedforward.out, theirs.linear2, f"{name}.out")
    yield from norm_pairs(ours.around_self.norm, theirs.norm1, f"{name}.norm1")
    yield from norm_pairs(ours.around_feedforward.norm, theirs.norm2, f"{name}.norm2")


def decoder_pairs(ours: DecoderBlock, theirs: nn.TransformerDecoderLayer, name: str = "block") -> Iterator[Pair]:
    yield from self_attention_pairs(ours.self_attention, theirs.self_attn, f"{name}.self")
    yield from cross_attention_pairs(ours.cross_attention, theirs.multihead_attn, f"{name}.cross")
    yield from linear_pairs(ours.feedforward.into, theirs.linear1, f"{name}.into")
    yield from linear_pairs(ours.feedforward.out, theirs.linear2, f"{name}.out")
    yield from norm_pairs(ours.around_self.norm, theirs.norm1, f"{name}.norm1")
    yield from norm_pairs(ours.around_cross.norm, theirs.norm2, f"{name}.norm2")
    yield from norm_pairs(ours.around_feedforward.norm, theirs.norm3, f"{name}.norm3")


def randomise(*modules: nn.Module) -> None:
    """Every parameter a value of its own, biases and gains too, so that none can be left out unseen."""
    with torch.no_grad():
        for module in modules:
            for parameter in module.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.3 + (1.0 if parameter.dim() == 1 else 0.0))


def copy(pairs: Iterator[Pair], module: nn.Module) -> None:
    """torch's parameters take our values, and none of them is forgotten."""
    forgotten = {id(parameter): name for name, parameter in module.named_parameters()}
    with torch.no_grad():
        for name, ours, theirs in pairs:
            assert ours.shape == theirs.shape, name
            theirs.copy_(ours)
            del forgotten[id(theirs)]
    assert not forgotten, list(forgotten.values())


def compare_gradients(ours: nn.Module, pairs: Iterator[Pair], tolerance: float = 1e-10) -> None:
    """After both backward passes: equal gradients, pair by pair, and none of our parameters left without."""
    stale = [name for name, parameter in ours.named_parameters() if parameter.grad is None]
    assert not stale, f"no gradient at {stale}"
    for name, mine, theirs in pairs:
        gradient = mine.grad if mine.is_leaf else None
        if gradient is not None:
            torch.testing.assert_close(gradient, theirs.grad, rtol=0, atol=tolerance, msg=lambda m, n=name: f"{n}: {m}")


def compare_cross_gradients(ours: CrossAttention, theirs: nn.MultiheadAttention, tolerance: float = 1e-10) -> None:
    """The packed matrix of torch against our two: it holds their gradients one after the other."""
    for kind in ("weight", "bias"):
        mine = torch.cat((getattr(ours.query, kind).grad, getattr(ours.key_value, kind).grad))
        torch.testing.assert_close(mine, getattr(theirs, f"in_proj_{kind}").grad, rtol=0, atol=tolerance)
