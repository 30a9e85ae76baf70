"""Score functions: how well a query fits a key, before scale, cap, bias, mask and normaliser.

The scaled dot product keeps the variance of the scores at 1 for unit-variance queries and keys, which keeps the
softmax out of saturation (section 3.2.1, arXiv 1706.03762). A user's own callable takes (q, k) to scores (B, H, T, S).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from torch import Tensor

from clearhead.errors import ConfigurationError, nearest
from clearhead.shapes import check_map

ScoreFunction = Callable[[Tensor, Tensor], Tensor]
Score = Literal["dot", "scaled_dot"] | ScoreFunction


def dot(q: Tensor, k: Tensor) -> Tensor:
    """q · k for every pair: (B, H, T, D), (B, H, S, D) → (B, H, T, S)."""
    return q @ k.transpose(-2, -1)


SCORES: dict[str, ScoreFunction] = {"dot": dot, "scaled_dot": dot}


def scorer(score: Score) -> ScoreFunction:
    """The function behind a name, or the user's own."""
    if callable(score):
        return score
    if score not in SCORES:
        raise ConfigurationError(
            f"score must be one of {', '.join(SCORES)} or a callable (q, k) -> scores, "
            f"got {score!r}{nearest(score, SCORES)}"
        )
    return SCORES[score]


def score_map(score: Score, q: Tensor, k: Tensor) -> Tensor:
    """Scores (B, H, T, S) of q (B, H, T, D) against k (B, H, S, D); a user's callable is held to that shape."""
    scores = scorer(score)(q, k)
    check_map("score", scores, (*q.shape[:3], k.shape[2]))
    return scores


def default_scale(score: Score, key_width: int) -> float:
    """The factor applied to a score when the caller gives none: 1/√D for the scaled dot product, else 1."""
    return 1.0 / math.sqrt(key_width) if score == "scaled_dot" else 1.0


def is_product(score: Score) -> bool:
    """True for the scores that a matrix product computes, and so the fused kernels too."""
    return isinstance(score, str) and score in ("dot", "scaled_dot")
