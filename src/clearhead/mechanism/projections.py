"""What the projections of an attention do to the residual stream, read off the weights alone.

A head reads values through W_v (value-down, W → M), mixes them, and writes through its part of W_o (value-up, M → W):
together one linear map of the stream onto itself, of rank at most M (Elhage et al. 2021, the "OV circuit"). Rows are
tokens here: x W_down W_up. What a run adds up to is ``inspection.contributions``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clearhead.errors import ShapeError
from clearhead.mechanism.multihead import HeadSizes, acting_weight, value_up
from clearhead.mechanism.textbook import repeat_heads


def value_down(projection: nn.Linear, sizes: HeadSizes) -> tuple[Tensor, Tensor]:
    """W_v by head, (H, W, M), and its bias, (H, 1, M), 0 where there is none; heads that share a value head show the
    same one.

    ``projection`` is the packed one, ``query_key_value`` or ``key_value``: the values are its last G · M outputs.
    """
    count = sizes.groups * sizes.value
    if projection.out_features < count or projection.in_features != sizes.width:
        raise ShapeError(
            f"a projection from {sizes.width} to at least {count} was expected (W and G · M), "
            f"got one from {projection.in_features} to {projection.out_features}"
        )
    weight = acting_weight(projection)[-count:].view(1, sizes.groups, sizes.value, sizes.width).transpose(2, 3)
    values = weight.new_zeros(count) if projection.bias is None else projection.bias[-count:]
    bias = values.view(1, sizes.groups, 1, sizes.value)
    return repeat_heads(weight, sizes.heads)[0], repeat_heads(bias, sizes.heads)[0]


def value_map(projection: nn.Linear, output: nn.Linear, sizes: HeadSizes) -> Tensor:
    """Value-down times value-up by head, (H, W, W): where a token's content goes when this head attends to it."""
    return value_down(projection, sizes)[0] @ value_up(output, sizes.heads)


def folded(first: nn.Linear, second: nn.Linear) -> nn.Linear:
    """The one projection that two in a row come to: W₂ (W₁ x + b₁) + b₂ = (W₂ W₁) x + (W₂ b₁ + b₂).

    The picture of a second projection a head, q^{i,1} = W^{q,1} q^i, is this product: one matrix a head, learnt as one.
    """
    if first.out_features != second.in_features:
        raise ShapeError(f"the first gives {first.out_features} numbers, the second takes {second.in_features}")
    one = nn.Linear(first.in_features, second.out_features, device=first.weight.device, dtype=first.weight.dtype)
    with torch.no_grad():
        one.weight.copy_(second.weight @ first.weight)
        one.bias.copy_(second(first.bias) if first.bias is not None else second.bias)
    return one
