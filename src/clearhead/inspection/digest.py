"""What there is to say of a map too large to keep, for every score and normaliser: ``mechanism.summary``'s numbers.

Softmaxes of products are ``mechanism.summary``'s own affair; the others, which it does not know, are walked here some
whole rows at a time. Weights that do not sum to 1 (ReLU, sigmoid) are told as they are; their entropy and distance go
by each weight's share of its row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.inspection.tiles import masked_scores, row_spans
from clearhead.mechanism.normalizers import normalized
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import is_product
from clearhead.mechanism.summary import AttentionSummary
from clearhead.mechanism.summary_walk import summarize

TOP = 8


def digest(problem: Problem, top_k: int = TOP) -> AttentionSummary:
    """The summary of a whole map, in memory that grows with T + S."""
    if problem.normalize == "softmax" and is_product(problem.score):
        return summarize(problem, top_k)
    return walked(problem, top_k)


def walked(problem: Problem, top_k: int) -> AttentionSummary:
    """The same by whole rows of weights, whatever made them."""
    device, first = problem.q.device, first_place(problem)
    columns = torch.arange(problem.keys, device=device)
    received: Tensor | None = None
    rows: list[tuple[Tensor, ...]] = []
    for span in row_spans(problem, (0, problem.queries), problem.q.shape[1]):
        scores_BHTS = masked_scores(problem, span, (0, problem.keys))
        weights_BHTS = normalized(scores_BHTS, problem.normalize)
        sums = weights_BHTS.sum(2)
        received = sums if received is None else received + sums
        shares = shares_of(weights_BHTS)
        away = (first + torch.arange(*span, device=device)[:, None] - columns).abs().to(shares.dtype)
        distances, top = (shares * away).sum(-1), _top(weights_BHTS, top_k)
        rows.append((torch.logsumexp(scores_BHTS, -1), entropy_of(shares), distances, *top))
    normalizer, entropy, distance, top_weights, top_indices = (torch.cat(parts, 2) for parts in zip(*rows, strict=True))
    assert received is not None
    return AttentionSummary(normalizer, entropy, received, top_weights, top_indices, distance)


def first_place(problem: Problem) -> int:
    """Where the first query stands among the keys: 0, or what a causal mask's offset says."""
    return 0 if problem.mask is None else problem.mask.first_query()


def shares_of(weights: Tensor) -> Tensor:
    """Each row as shares of its sum; a row of zeros stays one."""
    return weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


def entropy_of(shares: Tensor) -> Tensor:
    """−Σ p log p of each row, in nats, with 0 log 0 = 0: (…, S) → (…,)."""
    return -torch.xlogy(shares, shares).sum(-1)


def _top(weights: Tensor, wanted: int) -> tuple[Tensor, Tensor]:
    values, indices = weights.topk(min(wanted, weights.shape[-1]), dim=-1)
    indices = indices.masked_fill(values == 0, -1)
    missing = (0, wanted - values.shape[-1])
    return torch.nn.functional.pad(values, missing), torch.nn.functional.pad(indices, missing, value=-1)
