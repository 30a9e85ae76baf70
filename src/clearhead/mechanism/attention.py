"""The public functions of the mechanism: check the arguments in words, keep hidden values hidden, choose a path.

    A = normalise(mask(bias + softcap(scale · score(Q, K)))) V            (arXiv 1706.03762, equation 1, opened up)

What is computed is ``clearhead.textbook.attention``; how, is ``mechanism.paths``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.mechanism import textbook
from clearhead.mechanism.masks import Mask, as_mask
from clearhead.mechanism.normalizers import Normalizer, normalizer
from clearhead.mechanism.paths import Problem, choose
from clearhead.mechanism.scores import Score, scorer
from clearhead.shapes import check_broadcastable, check_queries_keys, check_values


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    mask: Tensor | Mask | None = None,
    bias: Tensor | None = None,
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
        bias: float, broadcastable to (B, H, T, S), added to the scaled score; −inf masks.
        scale: factor on the score; 1/√D for "scaled_dot" and 1 otherwise when not given.
        softcap: c replaces a scaled score s by c · tanh(s / c) before the bias.
        score: "dot", "scaled_dot", or a callable (q, k) → (B, H, T, S).
        normalize: "softmax", or a callable on the masked scores.
        dropout: probability with which a weight is set to 0 (the others scaled up); 0 for none.

    Returns:
        (B, H, T, M). A query that may see nothing gets exactly 0, and sends back gradient 0. Masked keys and values
        never reach the output, NaN included.

    Raises:
        ShapeError: a shape, dtype or device does not fit; the message names both sides.
        ConfigurationError: an unknown score or normaliser, or a setting out of range.
    """
    check_values(k, v)
    expression = _checked(q, k, mask, bias, softcap)
    scorer(score), normalizer(normalize)
    if not 0.0 <= dropout < 1.0:
        raise ConfigurationError(f"dropout must be a probability in [0, 1), got {dropout}")
    problem = Problem(q, k, v, expression, bias, scale, softcap, score, normalize, dropout)
    if expression is None and bias is None:
        return choose(problem)(problem)
    return _with_hidden_out_of_reach(problem)


def attention_scores(
    q: Tensor,
    k: Tensor,
    *,
    bias: Tensor | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    score: Score = "scaled_dot",
) -> Tensor:
    """The scores before mask and normaliser, all of them: (B, H, T, S). Arguments as in ``attention``."""
    _checked(q, k, None, bias, softcap)
    return textbook.attention_scores(q, k, bias=bias, scale=scale, softcap=softcap, score=score)


def attention_weights(
    q: Tensor,
    k: Tensor,
    *,
    mask: Tensor | Mask | None = None,
    bias: Tensor | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    score: Score = "scaled_dot",
    normalize: Normalizer = "softmax",
) -> Tensor:
    """The whole map of weights: (B, H, T, S), rows summing to 1, or 0 where nothing may be seen. Memory is T × S."""
    expression = _checked(q, k, mask, bias, softcap)
    return textbook.attention_weights(
        q, k, mask=expression, bias=bias, scale=scale, softcap=softcap, score=score, normalize=normalize
    )


def _checked(
    q: Tensor, k: Tensor, mask: Tensor | Mask | None, bias: Tensor | None, softcap: float | None
) -> Mask | None:
    """Check what all three functions share; the mask as an expression."""
    check_queries_keys(q, k)
    full = (q.shape[0], q.shape[1], q.shape[2], k.shape[2])
    if bias is not None:
        check_broadcastable("bias", bias, full)
    if softcap is not None and not (softcap > 0 and math.isfinite(softcap)):
        raise ConfigurationError(f"softcap must be a positive number, got {softcap}")
    if isinstance(mask, Tensor) and mask.dtype == torch.bool:
        check_broadcastable("mask", mask, full)
    return None if mask is None else as_mask(mask)


def _with_hidden_out_of_reach(problem: Problem) -> Tensor:
    """Compute with non-finite keys and values blanked; a query that does see one gets NaN, everybody else is untouched.

    A weight of 0 times NaN is NaN, in the product and in its gradient, so what a mask hides must not be there at all.
    """
    bad_BGS = ~(torch.isfinite(problem.k).all(-1) & torch.isfinite(problem.v).all(-1))
    if not bool(bad_BGS.any()):
        return choose(problem)(problem)
    hide = bad_BGS[..., None]
    clean = Problem(
        problem.q,
        problem.k.masked_fill(hide, 0.0),
        problem.v.masked_fill(hide, 0.0),
        problem.mask,
        problem.bias,
        problem.scale,
        problem.softcap,
        problem.score,
        problem.normalize,
        problem.dropout,
    )
    return choose(clean)(clean).masked_fill(_sees(problem, bad_BGS), math.nan)


def _sees(problem: Problem, bad_BGS: Tensor) -> Tensor:
    """Which queries (B, H, T, 1) may look at a key marked bad, found key by key so that no T × S map is built."""
    batch, heads, queries = problem.q.shape[:3]
    bad_BHS = textbook.repeat_heads(bad_BGS[..., None], heads)[..., 0]
    seen = torch.zeros(batch, heads, queries, 1, dtype=torch.bool, device=bad_BHS.device)
    for key in bad_BHS.flatten(0, 1).any(0).nonzero().flatten().tolist():
        column = (key, key + 1)
        here = bad_BHS[:, :, None, slice(*column)]
        if problem.mask is not None:
            here = here & problem.mask.tile((0, queries), column, here.device)
        if problem.bias is not None:
            here = here & (_bias_column(problem.bias, key) != -math.inf)
        seen |= here
    return seen


def _bias_column(bias: Tensor, key: int) -> Tensor:
    return bias if bias.shape[-1] == 1 else bias[..., key : key + 1]
