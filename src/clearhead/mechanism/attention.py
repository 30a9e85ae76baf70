"""The public functions of the mechanism: check the arguments in words, keep hidden values hidden, choose a path.

    A = normalise(mask(bias + softcap(scale · score(Q, K)))) V            (arXiv 1706.03762, equation 1, opened up)

What is computed is ``clearhead.textbook.attention``; how, is ``mechanism.paths``.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.mechanism import textbook
from clearhead.mechanism.biases import Bias, as_bias
from clearhead.mechanism.masks import Mask, as_mask
from clearhead.mechanism.normalizers import Normalizer, normalizer
from clearhead.mechanism.paths import TILE, Problem, choose, visibility
from clearhead.mechanism.scores import Score, scorer
from clearhead.mechanism.summary import AttentionSummary
from clearhead.mechanism.summary_walk import summarize
from clearhead.shapes import check_broadcastable, check_over_map, check_queries_keys, check_values


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | Mask | None = None,
    bias: Tensor | Bias | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    score: Score = "scaled_dot",
    normalize: Normalizer = "softmax",
    dropout: float = 0.0,
) -> Tensor:
    """Attention: every query takes a weighted mean of the values, weighted by how well their keys fit.

    Args:
        q: queries (B, H, T, D); float64, float32, bfloat16 or float16.
        k: keys (B, G, S, D); G divides H, each key head serves H / G neighbouring query heads.
        v: values (B, G, S, M).
        mask: boolean, broadcastable to (B, H, T, S), True = may look; or a ``clearhead.masks`` expression.
        bias: float, broadcastable to (B, H, T, S), added to the scaled score; −inf masks; or a ``clearhead.biases``
            expression, of which no map is written out.
        scale: factor on the score; 1/√D for "scaled_dot" and 1 otherwise when not given.
        softcap: c replaces a scaled score s by c · tanh(s / c) before the bias.
        score: "dot", "scaled_dot", ``clearhead.scores.Additive`` or ``Bilinear``, or a callable (q, k) → (B, H, T, S)
            that scores every query by itself: it is asked for some queries at a time.
        normalize: "softmax", "relu", "relu_mean", "sigmoid", "sparsemax", "entmax15", or a callable on the
            masked scores.
        dropout: probability with which a weight is set to 0 (the others scaled up); 0 for none.

    Returns:
        (B, H, T, M). A query that may see nothing gets exactly 0, and sends back gradient 0. Masked keys and values
        never reach the output, NaN included; with a mask or bias, a query that does see a NaN or an infinity gets NaN.

    Raises:
        ShapeError: a shape, dtype or device does not fit; the message names both sides.
        ConfigurationError: an unknown score or normaliser, or a setting out of range.
    """
    expression = _checked(q, k, mask, bias, scale, softcap)
    check_values(k, v)
    scorer(score), normalizer(normalize)
    if not 0.0 <= dropout < 1.0:
        raise ConfigurationError(f"dropout must be a probability in [0, 1), got {dropout}")
    problem = Problem(q, k, v, expression, bias, scale, softcap, score, normalize, dropout)
    problem, spoilt = _with_hidden_out_of_reach(problem)
    mixed = choose(problem)(problem)
    return mixed if spoilt is None else mixed.masked_fill(spoilt, math.nan)


def attention_scores(
    q: Tensor,
    k: Tensor,
    *,
    bias: Tensor | Bias | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    score: Score = "scaled_dot",
) -> Tensor:
    """The scores before mask and normaliser, all of them: (B, H, T, S). Arguments as in ``attention``."""
    _checked(q, k, None, bias, scale, softcap)
    return textbook.attention_scores(q, k, bias=bias, scale=scale, softcap=softcap, score=score)


def attention_weights(
    q: Tensor,
    k: Tensor,
    *,
    mask: Tensor | Mask | None = None,
    bias: Tensor | Bias | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    score: Score = "scaled_dot",
    normalize: Normalizer = "softmax",
) -> Tensor:
    """The whole map of weights: (B, H, T, S), rows summing to 1, or 0 where nothing may be seen. Memory is T × S."""
    expression = _checked(q, k, mask, bias, scale, softcap)
    problem, spoilt = _with_hidden_out_of_reach(Problem(q, k, k, expression, bias))
    weights = textbook.attention_weights(
        q, problem.k, mask=expression, bias=bias, scale=scale, softcap=softcap, score=score, normalize=normalize
    )
    return weights if spoilt is None else weights.masked_fill(spoilt, math.nan)


def attention_summary(
    q: Tensor,
    k: Tensor,
    *,
    top_k: int = 8,
    mask: Tensor | Mask | None = None,
    bias: Tensor | Bias | None = None,
    scale: float | None = None,
    softcap: float | None = None,
) -> AttentionSummary:
    """What the map of scaled-dot softmax attention says, query by query and key by key, without building it.

    Exact for every query, not sampled: log-normaliser, entropy, received weight, the largest weights, mean distance. In
    float32 at least, whatever the precision of q; memory grows with T · K + S. No gradient flows through it.

    Args:
        q, k, mask, bias, scale, softcap: as in ``attention``.
        top_k: K, how many of each query's largest weights to keep; equal weights come in any order.

    The query at row i stands at place i of the keys; under ``masks.causal(offset)``, alone or composed, at i + offset
    when the offset is positive, as behind a cache of that many keys. Distances are counted from there.

    Raises:
        ShapeError: a shape, dtype or device does not fit; the message names both sides.
        ConfigurationError: a setting is out of range.
    """
    expression = _checked(q, k, mask, bias, scale, softcap)
    if top_k < 0:
        raise ConfigurationError(f"top_k must be a count of at least 0, got {top_k}")
    problem, spoilt = _with_hidden_out_of_reach(Problem(q, k, k, expression, bias, scale, softcap))
    summary = summarize(problem, top_k)
    return summary if spoilt is None else summary.spoilt(spoilt.squeeze(-1))


def _checked(
    q: Tensor,
    k: Tensor,
    mask: Tensor | Mask | None,
    bias: Tensor | Bias | None,
    scale: float | None,
    softcap: float | None,
) -> Mask | None:
    """Check what all functions share; the mask as an expression."""
    check_queries_keys(q, k)
    full = (q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    if bias is not None:
        if isinstance(bias, Tensor):
            check_over_map("bias", bias, full, q.device)
        check_broadcastable("bias", as_bias(bias).shape(full), full)
    if scale is not None and not math.isfinite(scale):
        raise ConfigurationError(f"scale must be a finite number, got {scale}")
    if softcap is not None and not (softcap > 0 and math.isfinite(softcap)):
        raise ConfigurationError(f"softcap must be a positive number, got {softcap}")
    if mask is None:
        return None
    expression = as_mask(mask)
    if isinstance(mask, Tensor):
        check_over_map("mask", mask, full, q.device)
    check_broadcastable("mask", expression.shape(full), full)
    return expression


def _with_hidden_out_of_reach(problem: Problem) -> tuple[Problem, Tensor | None]:
    """The problem with non-finite keys and values blanked, and which queries (B, H, T, 1) do see one: their rows are
    NaN, everybody else's untouched.

    A weight of 0 times NaN is NaN, in the product and in its gradient, so what a mask hides must not be there at all.
    """
    if problem.mask is None and problem.bias is None:
        return problem, None
    bad_BGS = ~(torch.isfinite(problem.k).all(-1) & torch.isfinite(problem.v).all(-1))
    if not bool(bad_BGS.any()):
        return problem, None
    k, v = (x.masked_fill(bad_BGS[..., None], 0.0) for x in (problem.k, problem.v))
    return replace(problem, k=k, v=v), _sees(problem, bad_BGS)


def _sees(problem: Problem, bad_BGS: Tensor) -> Tensor:
    """Which queries (B, H, T, 1) may look at a key marked bad, some columns at a time so that no map is built."""
    batch, heads, queries = problem.q.shape[:3]
    bad_BHS = textbook.repeat_heads(bad_BGS[..., None], heads)[..., 0]
    seen = torch.zeros(batch, heads, queries, 1, dtype=torch.bool, device=bad_BHS.device)
    step = max(1, TILE // max(1, batch * heads * queries))
    for start in range(0, problem.keys, step):
        columns = (start, min(start + step, problem.keys))
        bad = bad_BHS[:, :, None, slice(*columns)]
        if bool(bad.any()):
            allowed, _ = visibility(problem, (0, queries), columns)
            seen |= (bad if allowed is None else bad & allowed).any(-1, keepdim=True)
    return seen
