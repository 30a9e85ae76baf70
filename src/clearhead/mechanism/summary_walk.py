"""One walk over the scores of an attention that finds everything a summary holds, in memory linear in the length.

    p_ts = exp(s_ts − log Z_t),   log Z_t = log Σ_s exp(s_ts)
    entropy −Σ_s p log p,   received Σ_t p,   the K largest p,   mean distance Σ_s p |t′ − s|, query t being at t′

with s the scores of equation 1 (arXiv 1706.03762) after scale, softcap, bias and mask. Blocks of a few query rows go
over all the keys they see: one matrix product, then passes over scores that are still in the cache. The normaliser
falls out of the same rows, so no second product is needed, whatever the mask. Threads take blocks in turn, each by
itself, since passes this short cost more to share out than to make. Knows no values and no modules.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clearhead.mechanism.biases import as_bias
from clearhead.mechanism.mask_algebra import Span
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import product_queries
from clearhead.mechanism.summary import AttentionSummary, blank
from clearhead.mechanism.summary_parts import Distances, Hidden, concerned, hidden_columns, largest, padded
from clearhead.workers import side_by_side, useful_workers

BLOCK = {"cpu": 1 << 19, "cuda": 1 << 24}  # scores a thread holds at once; larger blocks leave a processor's cache
ROWS = 32  # a matrix product of fewer rows waits for the keys, however long they are
WORKERS = 8  # more threads would wait for the interpreter, and each needs memory for a block
FLOOR = -1000.0  # exp of a score so far below its row's largest is 0 in any precision


def summarize(problem: Problem, top_k: int) -> AttentionSummary:
    """The summary of a problem whose score is a product and whose normaliser is the softmax."""
    device = problem.q.device
    with _plainly(device):
        operands = _Operands.of(problem, top_k)
        into = blank(problem.full, top_k, operands.q_BGRTD)
        if not problem.map_size:
            return into
        workers = min(WORKERS, useful_workers(device)) if problem.map_size > BLOCK["cpu"] else 1
        blocks, parts, largest_block = _plan(operands, workers)
        shares = [blocks[start::workers] for start in range(min(workers, len(blocks)))]
        received = side_by_side(lambda share: _Walk(operands, into, largest_block).over(share, parts), shares, workers)
        return replace(into, received=torch.stack(received).sum(0).to(into.received.dtype))


@contextmanager
def _plainly(device: torch.device) -> Iterator[None]:
    """Without gradients, with tensors that other threads may write to, in the precision of the operands."""
    with torch.inference_mode(False), torch.no_grad(), torch.autocast(device.type, enabled=False):
        yield


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


@dataclass(frozen=True, slots=True, eq=False)
class _Operands:
    """What all blocks read: queries scaled already, keys, both in the precision that is counted in."""

    problem: Problem
    top_k: int
    q_BGRTD: Tensor  # R: the query heads that share a key head
    k_BGSD: Tensor
    first_query: int
    finite: bool  # no score can be infinite or NaN

    @classmethod
    def of(cls, problem: Problem, top_k: int) -> _Operands:
        batch, heads, _, _ = problem.full
        groups = problem.k.shape[1]
        exact = torch.promote_types(problem.q.dtype, torch.float32)
        q = product_queries(problem.score, problem.q).to(exact) * problem.factor
        k = problem.k.to(exact).contiguous()
        grouped = q.reshape(batch, groups, heads // groups, *q.shape[2:])
        first_query = 0 if problem.mask is None else problem.mask.first_query()
        return cls(problem, top_k, grouped, k, first_query, _stays_finite(q, k))


def _plan(operands: _Operands, workers: int) -> tuple[list[Span], list[_Part], int]:
    """Blocks of rows, for each the heads that are worked on together, and how many scores the largest may have."""
    batch, _, queries, keys = operands.problem.full
    groups, per_group = operands.q_BGRTD.shape[1:3]
    block, seen = BLOCK.get(operands.k_BGSD.device.type, BLOCK["cuda"]), _seen_by_few(operands.problem)
    height = max(1, ROWS // per_group, block // (seen * per_group))
    if seen < keys:  # a window: every row more sees a key more, which the others do not see
        height = min(height, max(ROWS, seen // 2))
    height = min(height, -(-queries // workers))
    width = min(keys, seen + height)
    heads_at_once = max(1, block // (width * per_group * height))
    parts = [
        _Part(sentences, some, per_group)
        for sentences in _spans(batch, max(1, heads_at_once // groups))
        for some in _spans(groups, min(groups, heads_at_once))
    ]
    stacked = min(heads_at_once, batch * groups) * per_group
    return _spans(queries, height), parts, stacked * height * padded(width, max(1, operands.top_k))


def _seen_by_few(problem: Problem) -> int:
    """How many keys the first, middle and last few rows may see at most; at least one."""
    if problem.mask is None:
        return problem.keys
    starts = (0, problem.queries // 2, max(0, problem.queries - ROWS))
    spans = [problem.mask.columns((start, min(start + ROWS, problem.queries)), problem.keys) for start in starts]
    return max(1, *(end - start for start, end in spans))


class _Walk:
    """A walk over some blocks of rows, which are written ``into`` a summary; what the keys receive is kept apart."""

    def __init__(self, operands: _Operands, into: AttentionSummary, largest_block: int) -> None:
        self.operands, self.problem, self.top_k, self.into = operands, operands.problem, operands.top_k, into
        self.received = torch.zeros_like(into.received, dtype=torch.float64)
        self.space = [into.entropy.new_empty(largest_block) for _ in range(2)]

    def over(self, blocks: Sequence[Span], parts: Sequence[_Part]) -> Tensor:
        """Walk these blocks of rows; what they give to every key (B, H, S), in float64."""
        with _plainly(self.into.entropy.device):
            for rows in blocks:
                ground = self._ground(rows)
                if ground.width:
                    for part in parts:
                        self._block(ground, part)
        return self.received

    def _ground(self, rows: Span) -> _Ground:
        mask, keys, like = self.problem.mask, self.problem.keys, self.into.entropy
        columns = (0, keys) if mask is None else mask.columns(rows, keys)
        hidden = [] if mask is None else list(hidden_columns(mask, rows, columns, keys, like.device))
        added = None
        if self.problem.bias is not None:
            bias = as_bias(self.problem.bias)
            added = bias.tile(rows, columns, like.device)
            if bias.may_mask():
                hidden += concerned(added == -math.inf, (0, columns[1] - columns[0]))
        distances = Distances.of(self.operands.first_query + rows[0], rows[1] - rows[0], columns, like)
        return _Ground(rows, columns, added, hidden, distances)

    def _block(self, ground: _Ground, part: _Part) -> None:
        """From scores to everything that is asked of one block."""
        x_BHTS = self._scores(ground, part)
        top, places = largest(x_BHTS, max(1, self.top_k))
        peak, blind = top[..., :1], None
        if ground.hidden or not self.operands.finite:
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
        self.into.log_normalizer[here] = peak.squeeze(-1) + log_sum
        self.into.entropy[here] = log_sum - x_BHTS.mul_(p_BHTS).sum(-1)
        self.into.mean_distance[here] = ground.distances.mean(p_BHTS[..., : ground.width], x_BHTS[..., : ground.width])
        self.received[*here[:2], slice(*ground.columns)] += p_BHTS[..., : ground.width].sum(2)
        if self.top_k:
            self.into.top_weights[here] = weights.masked_fill_(top == -math.inf, 0.0)
            self.into.top_indices[here] = torch.where(top > -math.inf, places + ground.columns[0], -1)
        if blind is not None:
            self.into.log_normalizer[here].masked_fill_(blind.squeeze(-1), -math.inf)
            self.into.entropy[here].masked_fill_(blind.squeeze(-1), 0.0)

    def _scores(self, ground: _Ground, part: _Part) -> Tensor:
        """Masked scores (b, h, t, s), with columns of −∞ behind them until stripes come out even."""
        width = ground.width
        q_bgrtD = self.operands.q_BGRTD[slice(*part.sentences), slice(*part.groups), :, slice(*ground.rows)]
        k_nsD = self.operands.k_BGSD[slice(*part.sentences), slice(*part.groups), slice(*ground.columns)].flatten(0, 1)
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
        if not self.operands.finite:
            yield (0, length)
            return
        yield from (span for span, _ in ground.hidden)
        if ground.width < length:
            yield (ground.width, length)

    def _room(self, which: int, shape: Sequence[int]) -> Tensor:
        """One of two pieces of memory that every block uses again, for the system's fresh pages cost time."""
        size = math.prod(shape)
        if self.space[which].numel() < size:
            self.space[which] = self.into.entropy.new_empty(size)
        return self.space[which][:size].view(*shape)


def _stays_finite(q: Tensor, k: Tensor) -> bool:
    """True when no product of q and k can overflow, and neither holds a NaN or an infinity."""
    if not q.numel() or not k.numel():
        return True
    return bool(q.abs().amax() * k.abs().amax() * q.shape[-1] < 1e30)


def _spans(total: int, step: int) -> list[Span]:
    return [(start, min(start + step, total)) for start in range(0, total, step)]
