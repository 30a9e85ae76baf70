"""Who may look at whom, as expressions that are never expanded to T × S unless somebody asks.

A mask says True = may look. An expression yields any rectangle of the full (B, H, T, S) map on demand through ``tile``;
``&``, ``|`` and ``~`` compose (``mechanism.mask_algebra``). Masks know positions only: no scores, no values.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, ShapeError
from clearhead.mechanism.mask_algebra import Mask, Span, as_mask, in_four
from clearhead.shapes import Map, check_tile

__all__ = ["Mask", "Span", "as_mask", "causal", "documents", "graph", "lengths", "not_self", "where", "window"]


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

    def seen_by_all(self, rows: Span, keys: int) -> Span:
        return (0, _clamp(rows[0] + self.offset + 1, keys))

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

    def seen_by_all(self, rows: Span, keys: int) -> Span:
        first, end = _clamp(rows[1] - 1 - self.left, keys), _clamp(rows[0] + self.right + 1, keys)
        return (first, max(first, end))


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
        return in_four(allowed)


@dataclass(frozen=True, eq=False)
class _Lengths(Mask):
    n: Tensor

    def shape(self, full: Map) -> tuple[int, ...]:
        return (len(self.n), 1, 1, full[3])

    def seen_by_all(self, rows: Span, keys: int) -> Span:
        return (0, _clamp(int(self.n.min()), keys) if len(self.n) else 0)

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
