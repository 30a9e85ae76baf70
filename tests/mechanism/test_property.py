"""Any shapes, strides, masks, biases: the public function against the textbook in float64 on the map written out."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import clearhead
from clearhead.mechanism import masks, paths, textbook
from clearhead.mechanism.masks import Mask

from .problems import gradients, largest_difference


@dataclass(frozen=True)
class Shape:
    batch: int
    groups: int
    per_group: int
    queries: int
    keys: int
    key: int
    value: int

    @property
    def heads(self) -> int:
        return self.groups * self.per_group


SHAPES = st.builds(
    Shape,
    *(st.integers(1, 3) for _ in range(3)),
    *(st.integers(1, 9) for _ in range(2)),
    *(st.integers(1, 5) for _ in range(2)),
)
Masked = tuple[Mask, Tensor]  # the expression and, worked out on the side, its map


def leaf(draw: st.DrawFn, shape: Shape) -> Masked:
    i, j = torch.arange(shape.queries)[:, None], torch.arange(shape.keys)[None]
    kind = draw(st.sampled_from(["causal", "window", "lengths", "not_self", "where", "given"]))
    if kind == "causal":
        offset = draw(st.integers(-4, 9))
        return masks.causal(offset), j - i <= offset
    if kind == "window":
        left, right = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        return masks.window(left, right), (j - i >= -left) & (j - i <= right)
    if kind == "lengths":
        n = torch.tensor(draw(st.lists(st.integers(0, shape.keys), min_size=shape.batch, max_size=shape.batch)))
        return masks.lengths(n), (j < n[:, None, None])[:, None]
    if kind == "not_self":
        return masks.not_self(), i - j != 0
    if kind == "where":
        step = draw(st.integers(1, 4))
        return masks.where(lambda i, j: (2 * i + j) % step == 0), (2 * i + j) % step == 0
    sizes = [draw(st.sampled_from([1, size])) for size in (shape.batch, shape.heads, shape.queries, shape.keys)]
    allowed = torch.rand(sizes, generator=torch.Generator().manual_seed(draw(st.integers(0, 9)))) < 0.6
    return masks.as_mask(allowed), allowed


@st.composite
def expressions(draw: st.DrawFn, shape: Shape, depth: int = 2) -> Masked:
    how = draw(st.sampled_from(["leaf", "and", "or", "not"])) if depth else "leaf"
    if how == "leaf":
        return leaf(draw, shape)
    mask, written = draw(expressions(shape, depth - 1))
    if how == "not":
        return ~mask, ~written
    other, other_written = draw(expressions(shape, depth - 1))
    return (mask & other, written & other_written) if how == "and" else (mask | other, written | other_written)


def strided(draw: st.DrawFn, generator: torch.Generator, *shape: int) -> Tensor:
    """Values whose memory order is any permutation of the dimensions, with gaps now and then."""
    order = draw(st.permutations(range(4)))
    step = draw(st.integers(1, 2))
    sizes = [shape[axis] for axis in order]
    sizes[-1] *= step
    values = torch.randn(sizes, dtype=torch.float64, generator=generator)[..., ::step]
    return values.permute([order.index(axis) for axis in range(4)])


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Tensor], dict[str, object], dict[str, object]]:
    shape = draw(SHAPES)
    generator = torch.Generator().manual_seed(draw(st.integers(0, 1000)))
    sizes = (
        (shape.heads, shape.queries, shape.key),
        (shape.groups, shape.keys, shape.key),
        (shape.groups, shape.keys, shape.value),
    )
    tensors = [strided(draw, generator, shape.batch, *size) for size in sizes]
    ours: dict[str, object] = {
        "scale": draw(st.none() | st.floats(0.1, 2.0)),
        "softcap": draw(st.none() | st.floats(0.5, 5.0)),
        "score": draw(st.sampled_from(["dot", "scaled_dot"])),
    }
    if draw(st.booleans()):
        bias = torch.randn(shape.queries, shape.keys, dtype=torch.float64, generator=generator)
        ours["bias"] = bias.masked_fill(bias > 1.2, -torch.inf)
    theirs = dict(ours)
    if draw(st.booleans()):
        ours["mask"], theirs["mask"] = draw(expressions(shape))
    return tensors, ours, theirs


@pytest.mark.parametrize("tile", [1 << 22, 40], ids=["whole", "streamed"])
def test_any_problem(tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "TILE", tile)

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(problems(), st.booleans(), st.sampled_from([torch.float64, torch.float32]))
    def run(problem: tuple, trains: bool, dtype: torch.dtype) -> None:
        tensors, ours, theirs = problem
        leaves = tuple(x.to(dtype).requires_grad_(trains) for x in tensors)
        exact = tuple(x.detach().double().requires_grad_(trains) for x in leaves)
        output, wanted = clearhead.attention(*leaves, **ours), textbook.attention(*exact, **theirs)
        tolerance = 1e-11 if dtype == torch.float64 else 1e-4
        assert largest_difference(output, wanted) <= tolerance
        if trains:
            for got, right in zip(gradients(output, leaves), gradients(wanted, exact), strict=True):
                assert largest_difference(got, right) <= 20 * tolerance

    run()
