"""Normalisers: from masked scores (−inf = may not look) to weights along the last dimension.

Each returns exactly 0 for a masked key. A row of −inf belongs to a query that may see nothing; no normaliser ever gets
it, so a user's own callable need not know of such rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, nearest
from clearhead.shapes import check_map

NormalizerFunction = Callable[[Tensor], Tensor]
Normalizer = Literal["softmax"] | NormalizerFunction


def softmax(scores: Tensor) -> Tensor:
    """exp(s) / Σ exp(s)."""
    return torch.softmax(scores, -1)


NORMALIZERS: dict[str, NormalizerFunction] = {"softmax": softmax}


def normalizer(normalize: Normalizer) -> NormalizerFunction:
    """The function behind a name, or the user's own callable on the masked scores."""
    if callable(normalize):
        return normalize
    if normalize not in NORMALIZERS:
        raise ConfigurationError(
            f"normalize must be one of {', '.join(NORMALIZERS)} or a callable on the masked scores, "
            f"got {normalize!r}{nearest(normalize, NORMALIZERS)}"
        )
    return NORMALIZERS[normalize]


def normalized(scores: Tensor, normalize: Normalizer) -> Tensor:
    """Weights from masked scores (B, H, T, S); a row of −inf becomes zeros that send back gradient zero."""
    blind = (scores == -math.inf).all(-1, keepdim=True)
    if not bool(blind.any()):
        weights = normalizer(normalize)(scores)
    else:  # zeros stand in for the row: the softmax of −inf alone is NaN, and so is its gradient
        weights = normalizer(normalize)(scores.masked_fill(blind, 0.0)).masked_fill(blind, 0.0)
    check_map("normalize", weights, (scores.shape[0], scores.shape[1], scores.shape[2], scores.shape[3]))
    return weights
