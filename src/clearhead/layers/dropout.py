"""Dropout, drawn from random bits by the word.

Srivastava et al. 2014, with the kept values scaled up in training. Drawing 16-bit integers out of 64-bit random words
costs a fraction of one Bernoulli draw a value; the probability is thereby rounded to a multiple of 1/65,536, and the
scale is that of the rounded probability, so the expectation is exact. Randomness comes from torch's default generator.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError

STEPS = 1 << 16


class Dropout(nn.Module):
    """Sets values to 0 with probability ``p`` in training; the identity in evaluation."""

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0.0 <= p < 1.0:
            raise ConfigurationError(f"dropout must be a probability in [0, 1), got {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.p) if self.training and self.p > 0 else x

    def add(self, residual: Tensor, x: Tensor) -> Tensor:
        """residual + dropout(x)."""
        total: Tensor = residual + self(x)
        return total

    def extra_repr(self) -> str:
        return f"p={self.p}"


def drop(x: Tensor, p: float) -> Tensor:
    """Dropout as a function: x of any shape, p in [0, 1)."""
    limit = min(round(p * STEPS), STEPS - 1)
    if limit == 0:
        return x
    dropped: Tensor = _Drop.apply(x, _kept(x, limit), STEPS / (STEPS - limit))  # type: ignore[no-untyped-call]
    return dropped


def _kept(x: Tensor, limit: int) -> Tensor:
    """True where a value survives."""
    count = x.numel()
    words = torch.empty((count + 3) // 4, dtype=torch.int64, device=x.device)
    draws = words.random_(-(1 << 63), None).view(torch.int16)[:count]
    return (draws >= limit - (STEPS >> 1)).view(x.shape)


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return (x * kept).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return (gradient * kept).mul_(ctx.scale), None, None
