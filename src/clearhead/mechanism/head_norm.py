"""Queries or keys normalised head by head before they meet: x / √(mean of x² + ε) · gain, over the D values of a head.

Keeps scores from growing with the length of queries and keys (arXiv 2010.04245); with a gain of D learned numbers,
the same for all heads, it is what Qwen3 has (arXiv 2505.09388).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class HeadNorm(nn.Module):
    """(B, H, T, D) → (B, H, T, D)."""

    def __init__(self, key_width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(key_width))
        self.epsilon = epsilon

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.epsilon)
