"""What a map of attention says, row by row and key by key, without the map: the numbers, not how they are found.

They are found by ``mechanism.summary_walk`` and held against sums over ``clearhead.textbook``'s map.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.shapes import Map


@dataclass(frozen=True, slots=True, eq=False)
class AttentionSummary:
    """What every query looks at and every key receives, without the map. float32, or float64 from float64.

    A query that may see nothing has log-normaliser −∞, entropy 0, distance 0, no top keys, and gives nothing to any
    key. Where a query sees a NaN, its numbers are NaN, and so is what every key receives in that head.
    """

    log_normalizer: Tensor  # (B, H, T): log Σ_s exp(score), natural logarithm
    entropy: Tensor  # (B, H, T) in nats: 0 when one key gets all, log n when n keys share alike
    received: Tensor  # (B, H, S): the weights a key gets, summed over the queries
    top_weights: Tensor  # (B, H, T, K): largest first; 0 where fewer than K keys are visible
    top_indices: Tensor  # (B, H, T, K) int64: the keys of these weights; −1 where fewer are visible
    mean_distance: Tensor  # (B, H, T) in positions: Σ_s weight · |place of the query − s|

    def spoilt(self, rows: Tensor) -> AttentionSummary:
        """With NaN for these queries (B, H, T) and for what the keys receive in their heads."""
        return AttentionSummary(
            log_normalizer=self.log_normalizer.masked_fill(rows, math.nan),
            entropy=self.entropy.masked_fill(rows, math.nan),
            received=self.received.masked_fill(rows.any(-1, keepdim=True), math.nan),
            top_weights=self.top_weights.masked_fill(rows[..., None], math.nan),
            top_indices=self.top_indices.masked_fill(rows[..., None], -1),
            mean_distance=self.mean_distance.masked_fill(rows, math.nan),
        )


def blank(full: Map, top_k: int, like: Tensor) -> AttentionSummary:
    """The summary of a map (B, H, T, S) in which nobody sees anything, to be written into."""
    rows, keys = full[:3], full[3]
    return AttentionSummary(
        log_normalizer=like.new_full(rows, -math.inf),
        entropy=like.new_zeros(rows),
        received=like.new_zeros(*rows[:2], keys),
        top_weights=like.new_zeros(*rows, top_k),
        top_indices=torch.full((*rows, top_k), -1, dtype=torch.int64, device=like.device),
        mean_distance=like.new_zeros(rows),
    )
