"""Value-down, value-up and the second projection against products written out head by head."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clearhead.errors import ShapeError
from clearhead.mechanism.multihead import CrossAttention, HeadSizes, SelfAttention, split_heads, value_up
from clearhead.mechanism.projections import folded, value_down, value_map

from .problems import largest_difference

SIZES = HeadSizes(width=13, heads=6, groups=3, key=5, value=7)


def test_value_down_is_the_part_of_the_projection_that_makes_a_heads_values() -> None:
    attention = SelfAttention(SIZES).double()
    x = torch.randn(2, 11, 13, dtype=torch.float64)
    down, bias = value_down(attention.query_key_value, SIZES)
    assert (down.shape, bias.shape) == ((6, 13, 7), (6, 1, 7))
    values = split_heads(attention.query_key_value(x).split(SIZES.projected, dim=-1)[2], SIZES.groups)
    for head in range(6):
        assert largest_difference(x @ down[head] + bias[head], values[:, head // 2]) < 1e-14


def test_value_map_has_the_rank_of_a_value() -> None:
    attention = CrossAttention(SIZES).double()
    maps = value_map(attention.key_value, attention.output, SIZES)
    assert maps.shape == (6, 13, 13)
    assert torch.linalg.matrix_rank(maps).tolist() == [7] * 6
    down, up = value_down(attention.key_value, SIZES)[0], value_up(attention.output, 6)
    assert largest_difference(maps[4], down[4] @ up[4]) == 0


@pytest.mark.parametrize("bias", [True, False])
def test_a_second_projection_folds_into_the_first(bias: bool) -> None:
    """q^{i,h} = W^{q,h} (W^q a^i): two products in a row, or the one that a multi-head layer learns."""
    first = nn.Linear(13, 13, bias=bias).double()
    seconds = [nn.Linear(13, 5).double() for _ in range(6)]
    x = torch.randn(2, 11, 13, dtype=torch.float64)
    for second in seconds:
        assert largest_difference(folded(first, second)(x), second(first(x))) < 1e-14
    packed = torch.cat([folded(first, second).weight for second in seconds])
    by_heads = split_heads(x @ packed.t(), 6)
    assert largest_difference(by_heads[:, 2], x @ folded(first, seconds[2]).weight.t()) < 1e-14


def test_refused() -> None:
    with pytest.raises(ShapeError, match=r"from 13 to at least 21 was expected .* got one from 12 to 99"):
        value_down(nn.Linear(12, 99), SIZES)
    with pytest.raises(ShapeError, match="the first gives 4 numbers, the second takes 5"):
        folded(nn.Linear(3, 4), nn.Linear(5, 6))
