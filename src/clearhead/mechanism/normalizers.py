"""Normalisers: from masked scores (−inf = may not look) to weights along the last dimension.

Each returns exactly 0 for a masked key, and a row of zeros, with zero gradient, for a query that may see nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, nearest

NormalizerFunction = Callable[[Tensor], Tensor]
Normalizer = Literal["softmax"] | NormalizerFunction


def softmax(scores: Tensor) -> Tensor:
    """exp(s) / Σ exp(s); a row of −inf gives zeros instead of NaN."""
    blind = (scores == -math.inf).all(-1, keepdim=True)
    if not bool(blind.any()):
        return torch.softmax(scores, -1)
    return torch.softmax(scores.masked_fill(blind, 0.0), -1).masked_fill(blind, 0.0)


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
