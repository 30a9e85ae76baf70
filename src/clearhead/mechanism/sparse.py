"""Normalisers that give exact zeros: sparsemax and entmax with α = 1.5, with their exact gradients.

    sparsemax(z)   = max(z − τ, 0)           (Martins & Astudillo, arXiv 1602.02068)
    1.5-entmax(z)  = max(z / 2 − τ, 0)²      (Peters, Niculae & Martins, arXiv 1905.05702)

with the τ at which a row sums to 1. The sum falls in τ and is convex, so Newton's method from below finds τ without
overshooting: for sparsemax, where the sum is made of straight pieces, in finitely many steps; for 1.5-entmax with
errors that square at every step. No sorting, and no copy of the row that outlives a step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

STEPS = (
    64  # never reached: a row of n equal scores halves its distance ½ log₂ n times, then five steps square the error
)


def sparsemax(scores: Tensor) -> Tensor:
    """The nearest probabilities to the scores, many of them exactly 0, along the last dimension."""
    weights: Tensor = _Sparsemax.apply(scores) if scores.shape[-1] else scores  # type: ignore[no-untyped-call]
    return weights


def entmax15(scores: Tensor) -> Tensor:
    """Between softmax and sparsemax, along the last dimension: smooth, and exactly 0 far below the maximum."""
    weights: Tensor = _Entmax15.apply(scores) if scores.shape[-1] else scores  # type: ignore[no-untyped-call]
    return weights


def _above(scores: Tensor, threshold: Tensor) -> Tensor:
    return (scores - threshold).clamp_(min=0)


def _sparsemax_step(above: Tensor) -> Tensor:
    """How far Newton moves τ: (Σ above − 1) / the number of scores above."""
    return (above.sum(-1, keepdim=True) - 1) / (above > 0).sum(-1, keepdim=True)


def _entmax15_step(above: Tensor) -> Tensor:
    """How far Newton moves τ: (Σ above² − 1) / (2 Σ above)."""
    return (above.square().sum(-1, keepdim=True) - 1) / (2 * above.sum(-1, keepdim=True))


def _shifted(scores: Tensor) -> Tensor:
    """In float32 at least, with the row's maximum at 0."""
    exact = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return exact - exact.amax(-1, keepdim=True)


def _threshold(shifted: Tensor, step: Callable[[Tensor], Tensor]) -> Tensor:
    """τ of each row (…, 1), from −1, where the largest score alone already gives the sum 1, upwards."""
    threshold = torch.full_like(shifted[..., :1], -1.0)
    smallest = torch.finfo(shifted.dtype).eps
    for _ in range(STEPS):
        move = step(_above(shifted, threshold)).clamp_(min=0)
        threshold = threshold + move
        if not bool((move > smallest).any()):
            break
    return threshold


class _Sparsemax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        shifted = _shifted(scores)
        weights = _above(shifted, _threshold(shifted, _sparsemax_step)).to(scores.dtype)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """On the support, the gradient less its mean there; 0 elsewhere."""
        weights: Tensor = ctx.saved_tensors[0]
        kept = weights > 0
        inside = gradient * kept
        mean = inside.sum(-1, keepdim=True) / kept.sum(-1, keepdim=True)
        return inside - kept * mean


class _Entmax15(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        shifted = _shifted(scores) / 2
        weights = _above(shifted, _threshold(shifted, _entmax15_step)).square_().to(scores.dtype)
        ctx.save_for_backward(weights)
        return weights

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """√p times (the gradient less its mean weighted by √p)."""
        weights: Tensor = ctx.saved_tensors[0]
        root = weights.sqrt()
        inside = gradient * root
        return inside - root * (inside.sum(-1, keepdim=True) / root.sum(-1, keepdim=True))
