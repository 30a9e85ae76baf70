"""Three questions about a block of query rows, each answered without another map of the block's size.

The largest entries of long rows, the mean distance of weights, and in which columns a mask hides anything at all.
Knows rows and columns only; what they mean is ``mechanism.summary``'s business.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearhead.mechanism.mask_algebra import Mask, Span

Hidden = tuple[Span, Tensor]  # columns, and who is hidden there: bool, broadcastable to (B, H, t, columns)


def largest(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest along the last dimension, in order, and their places; −∞ where there are no more.

    A key lies in the stripe ``place mod number of stripes``. The largest keys lie in the stripes with the largest
    maxima, so only those are sorted: one pass over x instead of a heap for every row.
    """
    length = x.shape[-1]
    stripe = _stripe(length, count)
    if stripe == 1 or length % stripe:
        top, places = x.topk(min(count, length), -1)
        missing = (0, count - top.shape[-1])
        return (F.pad(top, missing, value=-math.inf), F.pad(places, missing)) if missing[1] else (top, places)
    stripes = length // stripe
    striped = x.view(*x.shape[:-1], stripe, stripes)
    best = striped.amax(-2).topk(count, -1, sorted=False).indices
    among = striped.gather(-1, best[..., None, :].expand(*best.shape[:-1], stripe, count)).flatten(-2)
    top, at = among.topk(count, -1)
    return top, torch.add(best.gather(-1, at % count), at // count, alpha=stripes)


def padded(length: int, count: int) -> int:
    """The length at which stripes come out even."""
    stripe = _stripe(length, count)
    return -(-length // stripe) * stripe


def _stripe(length: int, count: int) -> int:
    """Keys in a stripe: a power of 2 for which maxima and what is left to sort are about equally many; 1 for none."""
    stripe = 1 << round(math.log2(max(1.0, length / count)) / 2)
    return stripe if stripe >= 4 else 1


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """From the queries of a block to the keys of some columns, as sums of what is never negative.

    A key before or behind all rows of a block lies as far from each row as from the block's edge, and then as far as
    that row from the edge. So no map of distances is made, and nothing is lost to cancellation.
    """

    before: int  # columns before all rows
    behind: int  # the first column behind them
    to_edge: Tensor  # (columns,)
    beside: Tensor  # (t, columns between)
    from_first: Tensor  # (t,)

    @classmethod
    def of(cls, first_query: int, height: int, columns: Span, like: Tensor) -> Distances:
        """For the queries at ``first_query`` and on; numbers of the dtype and device of ``like``."""
        last = first_query + height - 1
        s, rows = torch.arange(*columns, device=like.device), torch.arange(height, device=like.device)
        before, behind = (min(max(0, x - columns[0]), len(s)) for x in (first_query, last + 1))
        to_edge = torch.maximum(first_query - s, s - last).clamp_(min=0).to(like.dtype)
        beside = (first_query + rows[:, None] - s[before:behind]).abs().to(like.dtype)
        return cls(before, behind, to_edge, beside, rows.to(like.dtype))

    def mean(self, p: Tensor, room: Tensor) -> Tensor:
        """Σ_s p |t − s| of weights (…, t, columns), with ``room`` of that size to work in."""
        total = torch.mul(p, self.to_edge, out=room).sum(-1)
        if self.before:
            total.addcmul_(p[..., : self.before].sum(-1), self.from_first)
        if self.behind < p.shape[-1]:
            total.addcmul_(p[..., self.behind :].sum(-1), self.from_first.flip(0))
        if self.before < self.behind:
            total += (p[..., self.before : self.behind] * self.beside).sum(-1)
        return total


def hidden_columns(mask: Mask, rows: Span, columns: Span, keys: int, device: torch.device) -> Iterator[Hidden]:
    """Where a mask hides something from a block, columns counted from the first; what all see is not even asked for."""
    first, end = (min(max(x, columns[0]), columns[1]) for x in mask.seen_by_all(rows, keys))
    for start, stop in [(columns[0], first), (end, columns[1])] if first < end else [columns]:
        if start < stop:
            yield from concerned(~mask.tile(rows, (start, stop), device), (start - columns[0], stop - columns[0]))


def concerned(hidden: Tensor, span: Span) -> Iterator[Hidden]:
    """Of the columns of ``span`` only those from the first to the last in which somebody is hidden."""
    somewhere = hidden.any(0).any(0).any(0).expand(span[1] - span[0]).nonzero()
    if len(somewhere):
        first, end = int(somewhere[0]), int(somewhere[-1]) + 1
        yield (span[0] + first, span[0] + end), hidden if hidden.shape[3] == 1 else hidden[..., first:end]
