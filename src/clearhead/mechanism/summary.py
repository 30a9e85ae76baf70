"""Attention summed up row by row and key by key, exactly, in memory that grows with the length alone.

    p_ts = exp(s_ts − log Z_t),   log Z_t = log Σ_s exp(s_ts)
    entropy −Σ_s p log p,   received Σ_t p,   the K largest p,   mean distance Σ_s p |t′ − s|, query t being at t′

with s the scores of equation 1 (arXiv 1706.03762) after scale, softcap, bias and mask. Blocks of a few query rows go
over all the keys they see: one matrix product, then passes over scores that are still in the cache. The normaliser
falls out of the same rows, so no second product is needed, whatever the mask. Knows no values and no modules.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from clearhead.mechanism.biases import as_bias
from clearhead.mechanism.masks import Span
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import product_queries

BLOCK = {"cpu": 1 << 18, "cuda": 1 << 24}  # scores held at once: on a processor what its cache holds twice
ROWS = 32  # a matrix product of fewer rows waits for the keys, however long they are
FLOOR = -1000.0  # exp of a score so far below its row's largest is 0 in any precision


@dataclass(frozen=True, slots=True, eq=False)
class AttentionSummary:
    """What every query looks at and every key receives, without the map. float32, or float64 from float64.

    A query that may see nothing has log-normaliser −∞, entropy 0, distance 0, no top keys, and gives nothing to any
    key. Where a query sees a NaN, its numbers are NaN, and so is what every key receives in that head.
    """

    log_normalizer: Tensor  # (B, H, T): log Σ_s exp(score), natural logarithm
    entropy: Tensor  # (B, H, T) in nats: 0 when one key gets all, log n when n keys share alike
    received: Tensor  # (B, H, S): the weights a key gets, summed over the queries
    top_weights: Tensor  # (B, H, T, K): largest first; 0 where fewer than K keys are visible
    top_indices: Tensor  # (B, H, T, K) int64: the keys of these weights; −1 where fewer are visible
    mean_distance: Tensor  # (B, H, T) in positions: Σ_s weight · |place of the query − s|

    def spoilt(self, rows: Tensor) -> AttentionSummary:
        """With NaN for these queries (B, H, T) and for what the keys receive in their heads."""
        return AttentionSummary(
            log_normalizer=self.log_normalizer.masked_fill(rows, math.nan),
            entropy=self.entropy.masked_fill(rows, math.nan),
            received=self.received.masked_fill(rows.any(-1, keepdim=True), math.nan),
            top_weights=self.top_weights.masked_fill(rows[..., None], math.nan),
            top_indices=self.top_indices.masked_fill(rows[..., None], -1),
            mean_distance=self.mean_distance.masked_fill(rows, math.nan),
        )


def summarize(problem: Problem, top_k: int) -> AttentionSummary:
    """The summary of a problem whose score is a product and whose normaliser is the softmax."""
    with torch.no_grad(), torch.autocast(problem.q.device.type, enabled=False):
        walk = _Walk(problem, top_k)
        if problem.map_size:
            walk.run()
        return walk.result()


@dataclass(frozen=True, slots=True)
class _Part:
    """Which sentences and groups of key heads are worked on at once."""

    sentences: Span
    groups: Span
    per_group: int

    @property
    def heads(self) -> slice:
        """The query heads of these groups."""
        return slice(self.groups[0] * self.per_group, self.groups[1] * self.per_group)

    def of(self, tensor: Tensor) -> Tensor:
        """The part of something broadcastable to (B, H, …)."""
        tensor = tensor if tensor.shape[0] == 1 else tensor[slice(*self.sentences)]
        return tensor if tensor.shape[1] == 1 else tensor[:, self.heads]


@dataclass(frozen=True, slots=True, eq=False)
class _Ground:
    """What is laid over the scores of a block: columns that may be seen, bias, who is hidden, and where somebody is."""

    rows: Span
    columns: Span
    bias: Tensor | None
    hidden: Tensor | None
    concerned: Span  # counted from the first of ``columns``


class _Walk:
    """One pass over the map, block of rows by block of rows."""

    def __init__(self, problem: Problem, top_k: int) -> None:
        self.problem, self.top_k = problem, top_k
        batch, heads, queries, keys = problem.full
        exact = torch.promote_types(problem.q.dtype, torch.float32)
        groups = problem.k.shape[1]
        q = product_queries(problem.score, problem.q).to(exact) * problem.factor
        self.q_BGRTD = q.reshape(batch, groups, heads // groups, *q.shape[2:])
        self.k_BGSD = problem.k.to(exact).contiguous()
        self.first_query = 0 if problem.mask is None else problem.mask.first_query()
        self.finite = _stays_finite(q, self.k_BGSD)
        self.space = [q.new_empty(0), q.new_empty(0)]
        rows = (batch, heads, queries)
        self.log_normalizer = q.new_full(rows, -math.inf)
        self.entropy, self.distance = q.new_zeros(rows), q.new_zeros(rows)
        self.received = torch.zeros(batch, heads, keys, dtype=torch.float64, device=q.device)
        self.weights = q.new_zeros(*rows, top_k)
        self.indices = torch.full((*rows, top_k), -1, dtype=torch.int64, device=q.device)

    def result(self) -> AttentionSummary:
        received = self.received.to(self.entropy.dtype)
        return AttentionSummary(self.log_normalizer, self.entropy, received, self.weights, self.indices, self.distance)

    def run(self) -> None:
        batch, _, queries, keys = self.problem.full
        groups, per_group = self.q_BGRTD.shape[1:3]
        block = BLOCK.get(self.q_BGRTD.device.type, BLOCK["cuda"])
        height = min(queries, max(1, ROWS // per_group, block // (keys * per_group)))
        heads_at_once = max(1, block // (keys * per_group * height))
        parts = [
            _Part(sentences, some, per_group)
            for sentences in _spans(batch, max(1, heads_at_once // groups))
            for some in _spans(groups, min(groups, heads_at_once))
        ]
        for rows in _spans(queries, height):
            ground = self._ground(rows)
            if ground.columns[0] < ground.columns[1]:
                for part in parts:
                    self._block(ground, part)

    def _ground(self, rows: Span) -> _Ground:
        """Mask and bias over a block of rows, worked out once for all heads."""
        mask, device = self.problem.mask, self.problem.q.device
        columns = (0, self.problem.keys) if mask is None else mask.columns(rows, self.problem.keys)
        hidden = None if mask is None else ~mask.tile(rows, columns, device)
        added = None
        if self.problem.bias is not None:
            bias = as_bias(self.problem.bias)
            added = bias.tile(rows, columns, device)
            if bias.may_mask():
                hidden = added == -math.inf if hidden is None else hidden | (added == -math.inf)
        return _Ground(rows, columns, added, hidden, _concerned(hidden, columns[1] - columns[0]))

    def _block(self, ground: _Ground, part: _Part) -> None:
        """From scores to everything that is asked of one block."""
        x_BHTS, loose = self._scores(ground, part)
        top, places = largest(x_BHTS, max(1, self.top_k))
        blind = top[..., :1] == -math.inf
        peak = top[..., :1].masked_fill(blind, 0.0)
        x_BHTS -= peak
        x_BHTS[..., slice(*loose)].clamp_(min=FLOOR)  # −∞ · 0 would be NaN
        p_BHTS = torch.softmax(x_BHTS, -1, out=self._room(1, x_BHTS.shape))
        if bool(blind.any()):
            p_BHTS.masked_fill_(blind, 0.0)
        here = (slice(*part.sentences), part.heads, slice(*ground.rows))
        weights = p_BHTS.gather(-1, places)
        log_sum = -weights[..., :1].log()  # the largest score is 0 now, so its weight is 1 / Σ exp
        self.log_normalizer[here] = (peak + log_sum).masked_fill(blind, -math.inf).squeeze(-1)
        self.received[here[0], here[1], slice(*ground.columns)] += p_BHTS[..., : _width(ground.columns)].sum(2)
        self.entropy[here] = (log_sum.squeeze(-1) - x_BHTS.mul_(p_BHTS).sum(-1)).masked_fill(blind.squeeze(-1), 0.0)
        self.distance[here] = _mean_distance(p_BHTS, self.first_query + ground.rows[0], ground.columns, x_BHTS)
        if self.top_k:
            self.weights[here] = weights.masked_fill(top == -math.inf, 0.0)
            self.indices[here] = torch.where(top > -math.inf, places + ground.columns[0], -1)

    def _scores(self, ground: _Ground, part: _Part) -> tuple[Tensor, Span]:
        """Masked scores (b, h, t, s and some columns of −∞), and the columns outside of which all is finite."""
        width = _width(ground.columns)
        q_bgrtD = self.q_BGRTD[slice(*part.sentences), slice(*part.groups), :, slice(*ground.rows)]
        k_nsD = self.k_BGSD[slice(*part.sentences), slice(*part.groups), slice(*ground.columns)].flatten(0, 1)
        q_nrD = q_bgrtD.reshape(k_nsD.shape[0], -1, k_nsD.shape[2])
        x = self._room(0, (*q_nrD.shape[:2], padded(width, max(1, self.top_k))))
        torch.bmm(q_nrD, k_nsD.transpose(1, 2), out=x[..., :width])
        x[..., width:] = -math.inf
        x_bhtS = x.view(q_bgrtD.shape[0], -1, q_bgrtD.shape[3], x.shape[2])
        seen = x_bhtS[..., :width]
        if (cap := self.problem.softcap) is not None:
            seen.div_(cap).tanh_().mul_(cap)
        if ground.bias is not None:
            seen += part.of(ground.bias)
        first, last = ground.concerned
        if ground.hidden is not None:
            hidden = part.of(ground.hidden)
            hidden = hidden if hidden.shape[3] == 1 else hidden[..., first:last]
            seen[..., first:last].masked_fill_(hidden, -math.inf)
        if not self.finite:
            return x_bhtS, (0, x.shape[2])
        return x_bhtS, (first, last if x.shape[2] == width else x.shape[2])

    def _room(self, which: int, shape: Sequence[int]) -> Tensor:
        """One of two pieces of memory that every block uses again; to ask the system anew each time costs a fifth."""
        size = math.prod(shape)
        if self.space[which].numel() < size:
            self.space[which] = self.entropy.new_empty(size)
        return self.space[which][:size].view(shape)


def largest(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest along the last dimension, in order, and their places; −∞ where there are no more.

    A key lies in stripe ``place mod number of stripes``. The largest keys lie in the stripes with the largest maxima,
    so only those are sorted: one pass over x instead of a heap over every row.
    """
    length = x.shape[-1]
    stripe = _stripe(length, count)
    if stripe == 1 or length % stripe:
        top, places = x.topk(min(count, length), -1)
        return F.pad(top, (0, count - top.shape[-1]), value=-math.inf), F.pad(places, (0, count - top.shape[-1]))
    striped = x.view(*x.shape[:-1], stripe, length // stripe)
    best = striped.amax(-2).topk(count, -1, sorted=False).indices
    among = striped.gather(-1, best[..., None, :].expand(*best.shape[:-1], stripe, count)).flatten(-2)
    top, at = among.topk(count, -1)
    return top, (at // count) * (length // stripe) + best.gather(-1, at % count)


def padded(length: int, count: int) -> int:
    """The length at which stripes come out even."""
    stripe = _stripe(length, count)
    return -(-length // stripe) * stripe


def _stripe(length: int, count: int) -> int:
    """Keys in a stripe: a power of 2 for which maxima and what is left to sort are about equally many; 1 for none."""
    stripe = 1 << round(math.log2(max(1.0, length / count)) / 2)
    return stripe if stripe >= 4 else 1


def _mean_distance(p_BHTS: Tensor, first_query: int, columns: Span, room: Tensor) -> Tensor:
    """Σ_s p |t′ − s|, with ``room`` to work in.

    A key before or behind all rows of the block lies as far from each row as from the block's edge, and then as far as
    that row from the edge. So no map of distances is made, and sums of what is never negative lose nothing.
    """
    height, length = p_BHTS.shape[2], p_BHTS.shape[3]
    last = first_query + height - 1
    s = torch.arange(columns[0], columns[0] + length, device=p_BHTS.device)
    to_edge = torch.maximum(first_query - s, s - last).clamp_(min=0).to(p_BHTS.dtype)
    rows = torch.arange(height, device=p_BHTS.device)
    before, behind = (min(max(0, x - columns[0]), length) for x in (first_query, last + 1))
    beside = (first_query + rows[:, None] - s[before:behind]).abs().to(p_BHTS.dtype)
    total = torch.mul(p_BHTS, to_edge, out=room).sum(-1)
    total += p_BHTS[..., :before].sum(-1) * rows + p_BHTS[..., behind:].sum(-1) * (height - 1 - rows)
    total += (p_BHTS[..., before:behind] * beside).sum(-1)
    return total


def _concerned(hidden: Tensor | None, width: int) -> Span:
    """The columns outside of which nobody is hidden: under a causal mask only those beside the block's own rows."""
    if hidden is None:
        return (0, 0)
    somewhere = hidden.any(0).any(0).any(0).expand(width).nonzero()
    return (int(somewhere[0]), int(somewhere[-1]) + 1) if len(somewhere) else (0, 0)


def _stays_finite(q: Tensor, k: Tensor) -> bool:
    """True when no product of q and k can overflow, and neither holds a NaN or an infinity."""
    if not q.numel() or not k.numel():
        return True
    return bool(q.abs().amax() * k.abs().amax() * q.shape[-1] < 1e30)


def _spans(total: int, step: int) -> list[Span]:
    return [(start, min(start + step, total)) for start in range(0, total, step)]


def _width(span: Span) -> int:
    return span[1] - span[0]
