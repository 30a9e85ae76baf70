"""Normalisers: from masked scores (−inf = may not look) to weights along the last dimension.

    softmax     exp(s) / Σ exp(s)
    relu        max(s, 0), as it is                        rows sum to anything
    relu_mean   max(s, 0) / number of visible keys         (Wortsman et al., arXiv 2309.08586)
    sigmoid     1 / (1 + exp(−s)), each key for itself     (Ramapuram et al., arXiv 2409.04431)
    sparsemax, entmax15                                    rows sum to 1 with exact zeros: ``mechanism.sparse``

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
from clearhead.mechanism.sparse import entmax15, sparsemax
from clearhead.shapes import check_map

NormalizerFunction = Callable[[Tensor], Tensor]
NormalizerName = Literal["softmax", "relu", "relu_mean", "sigmoid", "sparsemax", "entmax15"]
Normalizer = NormalizerName | NormalizerFunction


def softmax(scores: Tensor) -> Tensor:
    """exp(s) / Σ exp(s)."""
    return torch.softmax(scores, -1)


def relu(scores: Tensor) -> Tensor:
    """max(s, 0): a key with a negative score gets nothing, and a row may sum to anything, 0 included."""
    return torch.relu(scores)


def relu_mean(scores: Tensor) -> Tensor:
    """max(s, 0) divided by the number of keys that are visible in the row."""
    visible = (scores != -math.inf).sum(-1, keepdim=True).clamp_(min=1)
    return torch.relu(scores) / visible


def sigmoid(scores: Tensor) -> Tensor:
    """1 / (1 + exp(−s)): each key is weighted for itself. A bias of −log n, n keys, starts it where softmax starts."""
    return torch.sigmoid(scores)


NORMALIZERS: dict[str, NormalizerFunction] = {
    "softmax": softmax,
    "relu": relu,
    "relu_mean": relu_mean,
    "sigmoid": sigmoid,
    "sparsemax": sparsemax,
    "entmax15": entmax15,
}


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
