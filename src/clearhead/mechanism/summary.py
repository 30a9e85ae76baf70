"""Attention summed up row by row and key by key, exactly, in memory that grows with the length alone.

    p_ts = exp(s_ts − log Z_t),   log Z_t = log Σ_s exp(s_ts)
    entropy −Σ_s p log p,   received Σ_t p,   the K largest p,   mean distance Σ_s p |t′ − s|, query t being at t′

with s the scores of equation 1 (arXiv 1706.03762) after scale, softcap, bias and mask. Blocks of a few query rows go
over all the keys they see: one matrix product, then passes over scores that are still in the cache. The normaliser
falls out of the same rows, so no second product is needed, whatever the mask. Knows no values and no modules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.mechanism.biases import as_bias
from clearhead.mechanism.mask_algebra import Span
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import product_queries
from clearhead.mechanism.summary_parts import Distances, Hidden, concerned, hidden_columns, largest, padded

BLOCK = {"cpu": 1 << 20, "cuda": 1 << 24}  # scores held at once: on a processor what its cache holds twice
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
    """What is laid over the scores of a block of rows, for all heads: the columns that may be seen, bias, mask."""

    rows: Span
    columns: Span
    bias: Tensor | None
    hidden: Sequence[Hidden]  # counted from the first column that may be seen
    distances: Distances

    @property
    def width(self) -> int:
        return self.columns[1] - self.columns[0]


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
        """What the rows walked so far came to."""
        received = self.received.to(self.entropy.dtype)
        return AttentionSummary(self.log_normalizer, self.entropy, received, self.weights, self.indices, self.distance)

    def run(self) -> None:
        """Walk all rows."""
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
            if ground.width:
                for part in parts:
                    self._block(ground, part)

    def _ground(self, rows: Span) -> _Ground:
        mask, keys, like = self.problem.mask, self.problem.keys, self.entropy
        columns = (0, keys) if mask is None else mask.columns(rows, keys)
        hidden = [] if mask is None else list(hidden_columns(mask, rows, columns, keys, like.device))
        added = None
        if self.problem.bias is not None:
            bias = as_bias(self.problem.bias)
            added = bias.tile(rows, columns, like.device)
            if bias.may_mask():
                hidden += concerned(added == -math.inf, (0, columns[1] - columns[0]))
        distances = Distances.of(self.first_query + rows[0], rows[1] - rows[0], columns, like)
        return _Ground(rows, columns, added, hidden, distances)

    def _block(self, ground: _Ground, part: _Part) -> None:
        """From scores to everything that is asked of one block."""
        x_BHTS = self._scores(ground, part)
        top, places = largest(x_BHTS, max(1, self.top_k))
        peak, blind = top[..., :1], None
        if ground.hidden or not self.finite:
            blind = peak == -math.inf
            peak = peak.masked_fill(blind, 0.0)
        x_BHTS -= peak
        for first, end in self._loose(ground, x_BHTS.shape[3]):
            x_BHTS[..., first:end].clamp_(min=FLOOR)  # −∞ · 0 would be NaN
        p_BHTS = torch.softmax(x_BHTS, -1, out=self._room(1, x_BHTS.shape))
        if blind is not None and bool(blind.any()):
            p_BHTS.masked_fill_(blind, 0.0)
        here = (slice(*part.sentences), part.heads, slice(*ground.rows))
        weights = p_BHTS.gather(-1, places)
        log_sum = -weights[..., 0].log()  # the largest score is 0 now, so its weight is 1 / Σ exp
        self.log_normalizer[here] = peak.squeeze(-1) + log_sum
        self.entropy[here] = log_sum - x_BHTS.mul_(p_BHTS).sum(-1)
        self.distance[here] = ground.distances.mean(p_BHTS[..., : ground.width], x_BHTS[..., : ground.width])
        self.received[*here[:2], slice(*ground.columns)] += p_BHTS[..., : ground.width].sum(2)
        if self.top_k:
            self.weights[here] = weights.masked_fill_(top == -math.inf, 0.0)
            self.indices[here] = torch.where(top > -math.inf, places + ground.columns[0], -1)
        if blind is not None:
            self.log_normalizer[here].masked_fill_(blind.squeeze(-1), -math.inf)
            self.entropy[here].masked_fill_(blind.squeeze(-1), 0.0)

    def _scores(self, ground: _Ground, part: _Part) -> Tensor:
        """Masked scores (b, h, t, s), with columns of −∞ behind them until stripes come out even."""
        width = ground.width
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
        for (first, end), hidden in ground.hidden:
            seen[..., first:end].masked_fill_(part.of(hidden), -math.inf)
        return x_bhtS

    def _loose(self, ground: _Ground, length: int) -> Iterator[Span]:
        """The columns in which a score may be −∞."""
        if not self.finite:
            yield (0, length)
            return
        yield from (span for span, _ in ground.hidden)
        if ground.width < length:
            yield (ground.width, length)

    def _room(self, which: int, shape: Sequence[int]) -> Tensor:
        """One of two pieces of memory that every block uses again, for the system's fresh pages cost time."""
        size = math.prod(shape)
        if self.space[which].numel() < size:
            self.space[which] = self.entropy.new_empty(size)
        return self.space[which][:size].view(*shape)


def _stays_finite(q: Tensor, k: Tensor) -> bool:
    """True when no product of q and k can overflow, and neither holds a NaN or an infinity."""
    if not q.numel() or not k.numel():
        return True
    return bool(q.abs().amax() * k.abs().amax() * q.shape[-1] < 1e30)


def _spans(total: int, step: int) -> list[Span]:
    return [(start, min(start + step, total)) for start in range(0, total, step)]
