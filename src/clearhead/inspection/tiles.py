"""Any rectangle of an attention's map, exactly, without the rest of the map being held.

    weight(i, j) = exp(score(i, j) − log Σ_j′ exp(score(i, j′)))

so with each query's log-normaliser at hand a rectangle of a softmax's weights costs what the rectangle costs. The other
normalisers need whole rows, which are computed a few at a time. Results are float32 at least, whatever q's precision.
Knows nothing of models: what is to be computed is a ``mechanism.paths.Problem``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.mechanism.biases import as_bias
from clearhead.mechanism.masks import Span
from clearhead.mechanism.normalizers import normalized
from clearhead.mechanism.paths import Problem, visibility
from clearhead.mechanism.scores import is_product, product_queries, score_map
from clearhead.mechanism.textbook import repeat_heads

HELD = 1 << 22  # elements of (B, h, rows, S) that are held at once


def weights_tile(
    problem: Problem,
    rows: Span,
    columns: Span,
    heads: Sequence[int] | None = None,
    log_normalizer: Tensor | None = None,
) -> Tensor:
    """Weights of queries ``rows`` × keys ``columns``: (B, h, t, s), h all heads or the chosen ones.

    ``log_normalizer`` (B, H, T) spares the other columns, where the weights are a softmax's.

    Raises:
        ConfigurationError: a span or a head lies outside of the map.
    """
    chosen = checked_heads(heads, problem.q.shape[1])
    check_span("rows", rows, problem.queries)
    check_span("columns", columns, problem.keys)
    if problem.normalize == "softmax" and log_normalizer is not None:
        scores_BHTS = masked_scores(problem, rows, columns, chosen)
        normalizer = log_normalizer[:, chosen, slice(*rows), None].to(scores_BHTS.dtype)
        return torch.exp(scores_BHTS - normalizer).masked_fill(scores_BHTS == -math.inf, 0.0)
    blocks = [weights[..., slice(*columns)] for _, weights in weight_rows(problem, rows, chosen)]
    return torch.cat(blocks, dim=2)


def weight_rows(
    problem: Problem, rows: Span | None = None, heads: Sequence[int] | None = None
) -> Iterator[tuple[Span, Tensor]]:
    """Whole rows of weights (B, h, t, S), some queries at a time, and which queries they are."""
    chosen = checked_heads(heads, problem.q.shape[1])
    for part in row_spans(problem, (0, problem.queries) if rows is None else rows, len(chosen)):
        yield part, normalized(masked_scores(problem, part, (0, problem.keys), chosen), problem.normalize)


def row_spans(problem: Problem, rows: Span, heads: int) -> Iterator[Span]:
    """``rows`` cut so that a part's map of ``heads`` heads is small; at least one part, empty where there are none."""
    per_row = max(1, problem.q.shape[0] * heads * problem.keys)
    height = max(1, HELD // per_row)
    for start in range(rows[0], max(rows[1], rows[0] + 1), height):
        yield start, min(start + height, rows[1])


def masked_scores(problem: Problem, rows: Span, columns: Span, heads: Sequence[int] | None = None) -> Tensor:
    """What is normalised: scale, cap and bias applied, −inf where masked; (B, h, t, s), float32 at least."""
    scores_BHTS = raw_scores(problem, rows, columns, heads)
    allowed, _ = visibility(problem, rows, columns)
    if allowed is None:
        return scores_BHTS
    return scores_BHTS.masked_fill(~_of_heads(allowed, checked_heads(heads, problem.q.shape[1])), -math.inf)


def raw_scores(problem: Problem, rows: Span, columns: Span, heads: Sequence[int] | None = None) -> Tensor:
    """Scores before the mask (B, h, t, s): score, scale, softcap, bias, in this order."""
    total = problem.q.shape[1]
    chosen = checked_heads(heads, total)
    exact = torch.promote_types(problem.q.dtype, torch.float32)
    q, k = problem.q[:, :, slice(*rows)], problem.k[:, :, slice(*columns)]
    if is_product(problem.score):
        q = product_queries(problem.score, q)[:, chosen].to(exact)
        k = k[:, [head * k.shape[1] // total for head in chosen]].to(exact)
        scores_BHTS = (q * problem.factor) @ k.transpose(-2, -1)
    else:
        scores_BHTS = score_map(problem.score, q, repeat_heads(k, total))[:, chosen].to(exact) * problem.factor
    if problem.softcap is not None:
        scores_BHTS = problem.softcap * torch.tanh(scores_BHTS / problem.softcap)
    if problem.bias is None:
        return scores_BHTS
    return scores_BHTS + _of_heads(as_bias(problem.bias).tile(rows, columns, q.device), chosen).to(exact)


def checked_heads(heads: Sequence[int] | None, count: int) -> list[int]:
    """The chosen heads, all where none are chosen.

    Raises:
        ConfigurationError: there is no such head.
    """
    for head in heads or ():
        if not 0 <= head < count:
            raise ConfigurationError(f"heads: expected numbers from 0 to {count - 1}, got {head}")
    return list(range(count)) if heads is None else list(heads)


def check_span(name: str, span: Span, count: int) -> None:
    """Refuse a (first, behind the last) that is not within 0 … ``count``."""
    first, last = span
    if not 0 <= first <= last <= count:
        raise ConfigurationError(f"{name}: expected (first, behind the last) within 0 … {count}, got {span}")


def _of_heads(rectangle: Tensor, chosen: list[int]) -> Tensor:
    """The chosen heads of something broadcastable to (B, H, t, s)."""
    return rectangle if rectangle.shape[1] == 1 else rectangle[:, chosen]
