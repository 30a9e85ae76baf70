"""Masks as an algebra: what every mask can be asked, and how masks compose by ``&``, ``|`` and ``~``.

A mask says True = may look. An expression yields any rectangle of the full (B, H, T, S) map on demand through ``tile``
and is never expanded to T × S unless somebody asks. Here stand the question and the composition; the masks themselves
are in ``mechanism.masks``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.errors import ShapeError
from clearhead.shapes import Map

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

    def seen_by_all(self, rows: Span, keys: int) -> Span:
        """A range of keys that every one of ``rows`` certainly sees, so that nobody asks for a tile there."""
        return (0, 0)

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
    return _Given(in_four(mask))


def in_four(tensor: Tensor) -> Tensor:
    """Dimensions of size 1 in front, up to four."""
    return tensor[(None,) * (4 - tensor.dim())] if tensor.dim() < 4 else tensor


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

    def seen_by_all(self, rows: Span, keys: int) -> Span:
        (a, b), (c, d) = self.first.seen_by_all(rows, keys), self.second.seen_by_all(rows, keys)
        return (max(a, c), max(max(a, c), min(b, d)))


class _Or(_Both):
    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        return self.first.tile(rows, columns, device) | self.second.tile(rows, columns, device)

    def columns(self, rows: Span, keys: int) -> Span:
        (a, b), (c, d) = self.first.columns(rows, keys), self.second.columns(rows, keys)
        return (min(a, c), max(b, d))

    def seen_by_all(self, rows: Span, keys: int) -> Span:
        both = self.first.seen_by_all(rows, keys), self.second.seen_by_all(rows, keys)
        return max(both, key=lambda span: span[1] - span[0])


@dataclass(frozen=True, eq=False)
class _Not(Mask):
    inner: Mask

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        return ~self.inner.tile(rows, columns, device)

    def shape(self, full: Map) -> tuple[int, ...]:
        return self.inner.shape(full)
