"""What there is to say of a map too large to keep: per query its normaliser, entropy, top keys and mean distance, per
key what it receives. Exact; some rows of the map are held at a time, for every score and normaliser.

Weights that do not sum to 1 (ReLU, sigmoid) are told as they are; entropy and distance go by their shares of the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.inspection.tiles import masked_scores, row_spans
from clearhead.mechanism.normalizers import normalized
from clearhead.mechanism.paths import Problem

TOP = 8


@dataclass(frozen=True, slots=True, eq=False)
class Digest:
    """``log_normalizer``, ``entropy`` (nats) and ``mean_distance`` (B, H, T), ``received`` (B, H, S) the sum of weights
    a key gets, ``top_weights`` and ``top_indices`` (B, H, T, K) largest first; index −1, weight 0 where fewer are seen.

    A query that may see nothing has log-normaliser −inf, entropy 0 and distance 0. Distance is |i − j| of row and
    column.
    """

    log_normalizer: Tensor
    entropy: Tensor
    received: Tensor
    top_weights: Tensor
    top_indices: Tensor
    mean_distance: Tensor


def digest(problem: Problem, top_k: int = TOP) -> Digest:
    """The digest of a whole map, in memory that grows with T + S."""
    columns = torch.arange(problem.keys, device=problem.q.device)
    received: Tensor | None = None
    rows: list[tuple[Tensor, ...]] = []
    for span in row_spans(problem, (0, problem.queries), problem.q.shape[1]):
        scores_BHTS = masked_scores(problem, span, (0, problem.keys))
        weights_BHTS = normalized(scores_BHTS, problem.normalize)
        sums = weights_BHTS.sum(2)
        received = sums if received is None else received + sums
        shares = shares_of(weights_BHTS)
        away = (torch.arange(*span, device=columns.device)[:, None] - columns).abs().to(shares.dtype)
        rows.append(
            (
                torch.logsumexp(scores_BHTS, -1),
                entropy_of(shares),
                (shares * away).sum(-1),
                *_top(weights_BHTS, min(top_k, problem.keys), top_k),
            )
        )
    normalizer, entropy, distance, top_weights, top_indices = (torch.cat(parts, 2) for parts in zip(*rows, strict=True))
    assert received is not None
    return Digest(normalizer, entropy, received, top_weights, top_indices, distance)


def shares_of(weights: Tensor) -> Tensor:
    """Each row as shares of its sum; a row of zeros stays one."""
    return weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


def entropy_of(shares: Tensor) -> Tensor:
    """−Σ p log p of each row, in nats, with 0 log 0 = 0: (…, S) → (…,)."""
    return -torch.xlogy(shares, shares).sum(-1)


def _top(weights: Tensor, count: int, wanted: int) -> tuple[Tensor, Tensor]:
    values, indices = weights.topk(count, dim=-1)
    indices = indices.masked_fill(values == 0, -1)
    missing = wanted - count
    return torch.nn.functional.pad(values, (0, missing)), torch.nn.functional.pad(indices, (0, missing), value=-1)
