"""What is added to the scaled scores, as expressions that are never expanded to T × S unless somebody asks.

A bias yields any rectangle of its (B, H, T, S) map on demand through ``tile``, as a mask does; its parameters get their
gradients through the rectangles. ALiBi (Press et al., arXiv 2108.12409) and T5's relative bias (Raffel et al., arXiv
1910.10683) depend on the distance j − i alone, so a rectangle of t × s costs t + s − 1 values. Biases know positions
only: no queries, no keys.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearhead.errors import ShapeError
from clearhead.mechanism.masks import Span
from clearhead.shapes import FLOATS, Map, check_tile

ByDistance = Callable[[Tensor], Tensor]


class Bias(ABC):
    """A lazy float map over (B, H, T, S), added to the scaled and capped score; −inf masks."""

    @abstractmethod
    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        """The rectangle of queries ``rows`` × keys ``columns``: float, broadcastable to (B, H, rows, columns)."""

    @abstractmethod
    def shape(self, full: Map) -> tuple[int, ...]:
        """The shape this bias would have written out over a (B, H, T, S) map; it fits when that broadcasts."""

    def full(self, queries: int, keys: int, device: torch.device | None = None) -> Tensor:
        """The whole map: float, broadcastable to (B, H, T, S)."""
        return self.tile((0, queries), (0, keys), device or torch.device("cpu"))

    def may_mask(self) -> bool:
        """Whether some entry may be −inf."""
        return True

    def learns(self, device: torch.device) -> bool:
        """Whether a parameter of this bias wants a gradient."""
        return torch.is_grad_enabled() and self.tile((0, 1), (0, 1), device).requires_grad

    def shifted(self, row: int, column: int) -> Bias:
        """This bias seen from a block whose first query is ``row`` and whose first key is ``column``."""
        return _Shifted(self, row, column) if row or column else self

    def of_heads(self, heads: Sequence[int]) -> Bias:
        """The bias of these heads alone; one that is the same for all stays so."""
        return _OfHeads(self, tuple(heads))

    def __add__(self, other: Bias | Tensor) -> Bias:
        return _Sum(self, as_bias(other))

    def __radd__(self, other: Tensor) -> Bias:
        return _Sum(as_bias(other), self)


def alibi(slopes: Tensor, offset: int = 0) -> Bias:
    """Attention with linear biases: −slopes[h] · |i + offset − j| (section 3, arXiv 2108.12409).

    Under a causal mask this is the paper's; without one, distance counts alike on both sides. ``slopes`` is (H,), and
    ``offset`` the position of the first query, which a decoder with a cache has to tell.
    """
    if slopes.dim() != 1:
        raise ShapeError(f"alibi(slopes) takes one slope a head, (H,), got {tuple(slopes.shape)}")
    return _ByDistance(lambda distances: -slopes[:, None] * distances.abs(), slopes.shape[0], offset, slopes)


def relative(table: Tensor, bucket: Callable[[Tensor], Tensor], offset: int = 0) -> Bias:
    """A learned number a head for each bucket of distances (section 2.1, arXiv 1910.10683).

    ``table`` is (buckets, H); ``bucket`` takes distances j − i, int64 of any one-dimensional shape, to rows of it.
    """
    if table.dim() != 2:
        raise ShapeError(f"relative(table, bucket) takes a table (buckets, H), got {tuple(table.shape)}")
    return _ByDistance(lambda distances: F.embedding(bucket(distances), table).t(), table.shape[1], offset, table)


def by_distance(fn: ByDistance, heads: int, offset: int = 0) -> Bias:
    """A user's own rule of the distance: ``fn`` takes distances j − i − offset (n,) to floats (heads, n)."""
    return _ByDistance(fn, heads, offset)


def where(fn: Callable[[Tensor, Tensor], Tensor]) -> Bias:
    """A user's own rule of the places: ``fn(i, j)`` gets query rows (t, 1) and key columns (1, s), returns (…, t, s).

    It is asked for one rectangle at a time, so it must go by the numbers in ``i`` and ``j``, not by their shapes.
    """
    return _Where(fn)


def as_bias(bias: Bias | Tensor) -> Bias:
    """An expression from an expression or from a float tensor broadcastable to (B, H, T, S), else a ShapeError."""
    if isinstance(bias, Bias):
        return bias
    if not isinstance(bias, Tensor) or bias.dtype not in FLOATS:
        got = bias.dtype if isinstance(bias, Tensor) else type(bias).__name__
        raise ShapeError(
            f"bias must be float or a clearhead.biases expression, got {got}; "
            "a boolean map of who may look belongs into mask"
        )
    return _Given(bias[(None,) * (4 - bias.dim())] if bias.dim() < 4 else bias)


@dataclass(frozen=True, eq=False)
class _ByDistance(Bias):
    fn: ByDistance
    heads: int
    offset: int
    weights: Tensor | None = None  # all that ``fn`` could learn, where that is known

    def shape(self, full: Map) -> tuple[int, ...]:
        return (1, self.heads, full[2], full[3])

    def may_mask(self) -> bool:
        return False

    def learns(self, device: torch.device) -> bool:
        if self.weights is None:
            return super().learns(device)
        return torch.is_grad_enabled() and self.weights.requires_grad

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        queries, keys = rows[1] - rows[0], columns[1] - columns[0]
        if not queries or not keys:
            return torch.zeros(1, self.heads, queries, keys, device=device)
        nearest, farthest = columns[0] - (rows[1] - 1), columns[1] - 1 - rows[0]
        values = self.fn(torch.arange(nearest - self.offset, farthest - self.offset + 1, device=device))
        wanted = (self.heads, queries + keys - 1)
        if tuple(values.shape) != wanted:
            raise ShapeError(f"a bias by distance must give (H, distances) = {wanted}, got {tuple(values.shape)}")
        return values.unfold(-1, keys, 1).flip(-2)[None]  # row i is the window that begins queries − 1 − i


@dataclass(frozen=True, eq=False)
class _Where(Bias):
    fn: Callable[[Tensor, Tensor], Tensor]

    def shape(self, full: Map) -> tuple[int, ...]:
        return full  # it may answer by sentence and head

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        i, j = torch.arange(*rows, device=device)[:, None], torch.arange(*columns, device=device)[None]
        values = self.fn(i, j)
        size = (rows[1] - rows[0], columns[1] - columns[0])
        if not isinstance(values, Tensor) or values.dtype not in FLOATS:
            got = values.dtype if isinstance(values, Tensor) else type(values).__name__
            raise ShapeError(f"the rule given to where(fn) must return floats, got {got}")
        check_tile("the rule given to where(fn)", values, size)
        return values[(None,) * (4 - values.dim())] if values.dim() < 4 else values


@dataclass(frozen=True, eq=False)
class _Given(Bias):
    values: Tensor

    def shape(self, full: Map) -> tuple[int, ...]:
        return tuple(self.values.shape)

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        values = self.values if self.values.shape[2] == 1 else self.values[:, :, slice(*rows)]
        return values if values.shape[3] == 1 else values[..., slice(*columns)]


@dataclass(frozen=True, eq=False)
class _Shifted(Bias):
    inner: Bias
    row: int
    column: int

    def shape(self, full: Map) -> tuple[int, ...]:
        return self.inner.shape(full)

    def may_mask(self) -> bool:
        return self.inner.may_mask()

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        (a, b), (c, d) = rows, columns
        return self.inner.tile((a + self.row, b + self.row), (c + self.column, d + self.column), device)


@dataclass(frozen=True, eq=False)
class _OfHeads(Bias):
    inner: Bias
    heads: tuple[int, ...]

    def shape(self, full: Map) -> tuple[int, ...]:
        batch, heads, queries, keys = self.inner.shape(full)
        return (batch, heads if heads == 1 else len(self.heads), queries, keys)

    def may_mask(self) -> bool:
        return self.inner.may_mask()

    def learns(self, device: torch.device) -> bool:
        return self.inner.learns(device)

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        values = self.inner.tile(rows, columns, device)
        return values if values.shape[1] == 1 else values[:, list(self.heads)]


@dataclass(frozen=True, eq=False)
class _Sum(Bias):
    first: Bias
    second: Bias

    def shape(self, full: Map) -> tuple[int, ...]:
        both = zip(self.first.shape(full), self.second.shape(full), full, strict=False)
        return tuple(max(a, b, key=lambda n: (n not in (1, whole), n)) for a, b, whole in both)  # a misfit stays one

    def may_mask(self) -> bool:
        return self.first.may_mask() or self.second.may_mask()

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        return self.first.tile(rows, columns, device) + self.second.tile(rows, columns, device)
