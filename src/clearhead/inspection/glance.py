"""Three numbers a head, of one sentence's maps: how spread its looks are, how far they go, how sure the surest are.

    entropy   −Σ_j a_ij log a_ij, in nats, mean over queries; 0 where a query looks at one key, log S at all alike
    distance  Σ_j a_ij |i − j|, in positions, mean over queries
    peak      max_j a_ij, mean over queries

Normalisers other than softmax may give weights that do not sum to 1: entropy and distance are then those of the weights
divided by their sum. Queries that see nothing count in no mean. For long inputs, whose maps are not to be written out,
there is the summary of an inspection.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Glance:
    """Means over the queries of one map, (H,) float64 each."""

    entropy: Tensor
    distance: Tensor
    peak: Tensor


def glance(weights: Tensor) -> Glance:
    """What there is to say of the weights (H, T, S) of one sentence without padding."""
    exact = weights.double()
    mass = exact.sum(-1)
    seeing = mass > 0
    shares = exact / mass.clamp(min=torch.finfo(torch.float64).tiny)[..., None]
    i = torch.arange(weights.shape[1], device=weights.device)[:, None]
    j = torch.arange(weights.shape[2], device=weights.device)[None, :]

    def mean(values: Tensor) -> Tensor:
        return values.where(seeing, 0.0).sum(-1) / seeing.sum(-1).clamp(min=1)

    return Glance(
        entropy=mean(torch.special.entr(shares).sum(-1)),
        distance=mean((shares * (i - j).abs()).sum(-1)),
        peak=mean(exact.amax(-1)),
    )
