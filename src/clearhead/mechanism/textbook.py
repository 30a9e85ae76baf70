"""Attention as the equation says it, to be read aloud; every other path is tested against this one in float64.

    A = softmax(Q Kᵀ / √d_k) V            (equation 1, arXiv 1706.03762)

Tokens are rows here; course notes that write tokens as columns have Kᵀ Q and V A′ for the same thing. Nothing in this
file is fast: it builds the whole (B, H, T, S) map, which is what the paths beside it avoid.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from clearhead.mechanism.biases import Bias, as_bias
from clearhead.mechanism.masks import Mask
from clearhead.mechanism.normalizers import Normalizer, normalized
from clearhead.mechanism.scores import Score, default_scale, score_map


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
) -> Tensor:
    """Mix the values by the weights: (B, H, T, M) from q (B, H, T, D), k (B, G, S, D), v (B, G, S, M)."""
    weights_BHTS = attention_weights(
        q, k, mask=mask, bias=bias, scale=scale, softcap=softcap, score=score, normalize=normalize
    )
    values_BHSM = repeat_heads(v, q.shape[1])
    if mask is None and bias is None:
        return weights_BHTS @ values_BHSM
    return mix_seen(weights_BHTS, values_BHSM)


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
    """The whole map of weights (B, H, T, S); a row that may see nothing is all 0."""
    scores_BHTS = attention_scores(q, k, bias=bias, scale=scale, softcap=softcap, score=score)
    if mask is not None:
        scores_BHTS = scores_BHTS.masked_fill(~full_mask(mask, scores_BHTS), -math.inf)
    if bias is not None:  # −inf added to NaN is NaN, so what the bias hides is set
        scores_BHTS = scores_BHTS.masked_fill(full_bias(bias, scores_BHTS) == -math.inf, -math.inf)
    return normalized(scores_BHTS, normalize)


def attention_scores(
    q: Tensor,
    k: Tensor,
    *,
    bias: Tensor | Bias | None = None,
    scale: float | None = None,
    softcap: float | None = None,
    score: Score = "scaled_dot",
) -> Tensor:
    """Scores before mask and normaliser (B, H, T, S): score, scale, softcap c·tanh(s/c), bias, in this order."""
    scores_BHTS = score_map(score, q, repeat_heads(k, q.shape[1]))
    scores_BHTS = scores_BHTS * (default_scale(score, q.shape[-1]) if scale is None else scale)
    if softcap is not None:
        scores_BHTS = softcap * torch.tanh(scores_BHTS / softcap)
    return scores_BHTS if bias is None else scores_BHTS + full_bias(bias, scores_BHTS)


def mix_seen(weights: Tensor, values: Tensor) -> Tensor:
    """weights @ values where a zero weight hides its value altogether; in a plain product, 0 times NaN is NaN."""
    finite = torch.isfinite(values).all(-1)
    if bool(finite.all()):
        return weights @ values
    mixed = weights @ values.masked_fill(~finite[..., None], 0)
    sees_bad = ((weights != 0) & ~finite[..., None, :]).any(-1, keepdim=True)
    return mixed.masked_fill(sees_bad, math.nan)


def repeat_heads(grouped: Tensor, heads: int) -> Tensor:
    """(B, G, S, ·) → (B, H, S, ·): each key/value head serves H / G neighbouring query heads (arXiv 2305.13245)."""
    groups = grouped.shape[1]
    return grouped if groups == heads else grouped.repeat_interleave(heads // groups, dim=1)


def full_mask(mask: Tensor | Mask, scores: Tensor) -> Tensor:
    """The boolean map for scores (B, H, T, S), broadcastable to them."""
    return mask.full(scores.shape[2], scores.shape[3], scores.device) if isinstance(mask, Mask) else mask


def full_bias(bias: Tensor | Bias, scores: Tensor) -> Tensor:
    """The bias for scores (B, H, T, S), broadcastable to them and of their dtype."""
    return as_bias(bias).full(scores.shape[2], scores.shape[3], scores.device).to(scores.dtype)
