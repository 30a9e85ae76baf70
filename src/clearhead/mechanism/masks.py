"""Who may look at whom, as expressions that are never expanded to T × S unless somebody asks.

A mask says True = may look. An expression yields any rectangle of the full (B, H, T, S) map on demand through ``tile``;
``&``, ``|`` and ``~`` compose. Masks know positions only: no scores, no values.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, ShapeError
from clearhead.shapes import Map, check_tile

Span = tuple[int, int]


class Mask(ABC):
    """A lazy boolean map over (B, H, T, S)."""

    @abstractmethod
    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        """The rectangle of queries ``rows`` × keys ``columns``: bool, broadcastable to (B, H, rows, columns).

        It may be shared with others: to be read, not written to.
        """

    def full(self, queries: int, keys: int, device: torch.device | None = None) -> Tensor:
        """The whole map: bool, broadcastable to (B, H, T, S)."""
        return self.tile((0, queries), (0, keys), device or torch.device("cpu")).clone()

    def columns(self, rows: Span, keys: int) -> Span:
        """A range of keys outside of which ``rows`` certainly see nothing, so that nobody computes there."""
        return (0, keys)

    def shape(self, full: Map) -> tuple[int, ...]:
        """The shape this mask would have written out over a (B, H, T, S) map; it fits when that broadcasts."""
        return (1, 1, full[2], full[3])

    def is_plain_causal(self) -> bool:
        """True when this is exactly the look-ahead mask that fused kernels know by a flag."""
        return False

    def first_query(self) -> int:
        """The place of the first query among the keys: ``causal(n)`` puts it at n, which a cache of n keys needs."""
        return 0

    def __and__(self, other: Mask | Tensor) -> Mask:
        return _And(self, as_mask(other))

    def __or__(self, other: Mask | Tensor) -> Mask:
        return _Or(self, as_mask(other))

    def __rand__(self, other: Tensor) -> Mask:
        return _And(as_mask(other), self)

    def __ror__(self, other: Tensor) -> Mask:
        return _Or(as_mask(other), self)

    def __invert__(self) -> Mask:
        return _Not(self)


def causal(offset: int = 0) -> Mask:
    """Look-ahead mask: the query at row i sees keys 0 … i + offset."""
    return _Causal(offset)


def window(left: int, right: int) -> Mask:
    """Truncated attention: the query at row i sees keys i − left … i + right."""
    if left < 0 or right < 0:
        raise ConfigurationError(f"window(left, right) takes two counts of at least 0, got {left} and {right}")
    return _Window(left, right)


def lengths(n: Tensor) -> Mask:
    """Padding mask: in sequence b only keys 0 … n[b] − 1 are real. ``n`` is (B,) of integers."""
    if n.dim() != 1 or n.is_floating_point() or n.dtype == torch.bool:
        raise ShapeError(f"lengths(n) takes integers of shape (B,), got {n.dtype} of shape {tuple(n.shape)}")
    return _Lengths(n)


def graph(edges: Tensor, n: int) -> Mask:
    """Edges of a graph over ``n`` nodes: the query at node e[0] sees the key at node e[1], for each row e of (E, 2)."""
    if edges.dim() != 2 or edges.shape[1] != 2 or edges.is_floating_point():
        raise ShapeError(f"graph(edges, n) takes integer edges of shape (E, 2), got {tuple(edges.shape)}")
    if edges.numel() and (int(edges.min()) < 0 or int(edges.max()) >= n):
        raise ShapeError(f"graph edges must name nodes 0 … {n - 1}, got {int(edges.min())} … {int(edges.max())}")
    return _Graph(edges[edges[:, 0].argsort(stable=True)].contiguous(), n)


def documents(ids: Tensor) -> Mask:
    """Packed documents: a position sees positions of its own document only. ``ids`` is (B, T) of integers."""
    if ids.dim() != 2 or ids.is_floating_point():
        raise ShapeError(f"documents(ids) takes integers of shape (B, T), got {ids.dtype} of shape {tuple(ids.shape)}")
    return _Documents(ids)


def not_self() -> Mask:
    """Leaves the diagonal out: a position does not see itself."""
    return _NotSelf()


def where(fn: Callable[[Tensor, Tensor], Tensor]) -> Mask:
    """A user's own rule: ``fn(i, j)`` gets query rows (t, 1) and key columns (1, s), returns bool (…, t, s).

    It is asked for one rectangle at a time, so it must go by the numbers in ``i`` and ``j``, not by their shapes.
    """
    return _Where(fn)


def as_mask(mask: Mask | Tensor) -> Mask:
    """An expression from an expression or from a boolean tensor broadcastable to (B, H, T, S), else a ShapeError."""
    if isinstance(mask, Mask):
        return mask
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise ShapeError(
            f"a mask must be boolean (True = may look) or a clearhead.masks expression, got {got}; "
            "a float map that is added to the scores belongs into bias"
        )
    return _Given(_four(mask))


def _four(tensor: Tensor) -> Tensor:
    """Dimensions of size 1 in front, up to four."""
    return tensor[(None,) * (4 - tensor.dim())] if tensor.dim() < 4 else tensor


def _positions(rows: Span, columns: Span, device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.arange(*rows, device=device)[:, None], torch.arange(*columns, device=device)[None, :]


def _clamp(position: int, keys: int) -> int:
    return max(0, min(position, keys))


def _causal_tile(rows: Span, columns: Span, offset: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # a tile first asked for in prediction serves training too
        i, j = _positions(rows, columns, device)
        return (j <= i + offset)[None, None]


_kept_causal_tile = lru_cache(maxsize=256)(_causal_tile)  # every layer of every short batch asks for the same few


@dataclass(frozen=True)
class _Causal(Mask):
    offset: int

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        small = (rows[1] - rows[0]) * (columns[1] - columns[0]) <= 1 << 14
        return (_kept_causal_tile if small else _causal_tile)(rows, columns, self.offset, device)

    def columns(self, rows: Span, keys: int) -> Span:
        return (0, _clamp(rows[1] + self.offset, keys))

    def is_plain_causal(self) -> bool:
        return self.offset == 0

    def first_query(self) -> int:
        return max(0, self.offset)  # a negative offset hides the nearest keys and moves nobody


@dataclass(frozen=True)
class _Window(Mask):
    left: int
    right: int

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        i, j = _positions(rows, columns, device)
        return ((j >= i - self.left) & (j <= i + self.right))[None, None]

    def columns(self, rows: Span, keys: int) -> Span:
        return (_clamp(rows[0] - self.left, keys), _clamp(rows[1] + self.right, keys))


@dataclass(frozen=True)
class _NotSelf(Mask):
    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        i, j = _positions(rows, columns, device)
        return (i != j)[None, None]


@dataclass(frozen=True)
class _Where(Mask):
    fn: Callable[[Tensor, Tensor], Tensor]

    def shape(self, full: Map) -> tuple[int, ...]:
        return full  # it may answer by sentence and head

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        allowed = self.fn(*_positions(rows, columns, device))
        if not isinstance(allowed, Tensor) or allowed.dtype != torch.bool:
            got = allowed.dtype if isinstance(allowed, Tensor) else type(allowed).__name__
            raise ShapeError(f"the rule given to where(fn) must return booleans (True = may look), got {got}")
        check_tile("the rule given to where(fn)", allowed, (rows[1] - rows[0], columns[1] - columns[0]))
        return _four(allowed)


@dataclass(frozen=True, eq=False)
class _Lengths(Mask):
    n: Tensor

    def shape(self, full: Map) -> tuple[int, ...]:
        return (len(self.n), 1, 1, full[3])

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        j = torch.arange(*columns, device=device)
        return (j[None, :] < self.n.to(device)[:, None])[:, None, None, :]


@dataclass(frozen=True, eq=False)
class _Graph(Mask):
    edges: Tensor
    n: int

    def shape(self, full: Map) -> tuple[int, ...]:
        return (1, 1, self.n, self.n)

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        sources = self.edges[:, 0].contiguous()
        first, last = torch.searchsorted(sources, torch.tensor(rows, device=sources.device)).tolist()
        edges = self.edges[first:last]
        edges = edges[(edges[:, 1] >= columns[0]) & (edges[:, 1] < columns[1])].to(device)
        allowed = torch.zeros(rows[1] - rows[0], columns[1] - columns[0], dtype=torch.bool, device=device)
        allowed[edges[:, 0] - rows[0], edges[:, 1] - columns[0]] = True
        return allowed[None, None]


@dataclass(frozen=True, eq=False)
class _Documents(Mask):
    ids: Tensor

    def shape(self, full: Map) -> tuple[int, ...]:
        return (self.ids.shape[0], 1, self.ids.shape[1], self.ids.shape[1])

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        ids = self.ids.to(device)
        return (ids[:, slice(*rows), None] == ids[:, None, slice(*columns)])[:, None]


@dataclass(frozen=True, eq=False)
class _Given(Mask):
    allowed: Tensor

    def shape(self, full: Map) -> tuple[int, ...]:
        return tuple(self.allowed.shape)

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        allowed = self.allowed.to(device)
        allowed = allowed if allowed.shape[2] == 1 else allowed[:, :, slice(*rows)]
        return allowed if allowed.shape[3] == 1 else allowed[..., slice(*columns)]


@dataclass(frozen=True, eq=False)
class _Both(Mask):
    first: Mask
    second: Mask

    def shape(self, full: Map) -> tuple[int, ...]:
        both = zip(self.first.shape(full), self.second.shape(full), full, strict=False)
        return tuple(max(a, b, key=lambda n: (n not in (1, whole), n)) for a, b, whole in both)  # a misfit stays one

    def first_query(self) -> int:
        return self.first.first_query() or self.second.first_query()


class _And(_Both):
    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        return self.first.tile(rows, columns, device) & self.second.tile(rows, columns, device)

    def columns(self, rows: Span, keys: int) -> Span:
        (a, b), (c, d) = self.first.columns(rows, keys), self.second.columns(rows, keys)
        return (max(a, c), max(max(a, c), min(b, d)))


class _Or(_Both):
    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        return self.first.tile(rows, columns, device) | self.second.tile(rows, columns, device)

    def columns(self, rows: Span, keys: int) -> Span:
        (a, b), (c, d) = self.first.columns(rows, keys), self.second.columns(rows, keys)
        return (min(a, c), max(b, d))


@dataclass(frozen=True, eq=False)
class _Not(Mask):
    inner: Mask

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        return ~self.inner.tile(rows, columns, device)

    def shape(self, full: Map) -> tuple[int, ...]:
        return self.inner.shape(full)
