"""Muon for the matrices inside the blocks, whose momentum is made orthogonal before each step; AdamW for the rest.

    M ← β M + (1 − β) G,    W ← W − η √max(1, rows / columns) · orth((1 − β) G + β M)

after Jordan et al. 2024 (kellerjordan.github.io/posts/muon). orth(X) = U Vᵀ of X = U Σ Vᵀ, approached by five steps of
the Newton–Schulz iteration of degree five given there: singular values end between about 0.7 and 1.2. It needs far
fewer updates than AdamW for small translators (docs/diary.md). Matrices of one shape go through the products together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW

QUINTIC = (3.4445, -4.7750, 2.0315)  # a X + b (X Xᵀ) X + c (X Xᵀ)² X
STEPS = 5


class Muon(AdamW):
    """AdamW for groups as usual; groups with ``momentum`` hold matrices that take the step above.

    A group's ``shapes`` are not asked for: every parameter in such a group must have two dimensions.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step of both kinds."""
        groups = self.param_groups
        self.param_groups = [group for group in groups if "momentum" not in group]
        try:
            loss: float | None = super().step(closure)
        finally:
            self.param_groups = groups
        for group in groups:
            if "momentum" in group:
                self._step_matrices(group)
        return loss

    def _step_matrices(self, group: dict[str, Any]) -> None:
        rate, momentum, decay = group["lr"], group["momentum"], group["weight_decay"]
        for alike in _by_shape(group["params"]):
            gradients = [parameter.grad for parameter in alike if parameter.grad is not None]
            means = [self._mean(parameter) for parameter in alike]
            torch._foreach_lerp_(means, gradients, 1 - momentum)
            looking_ahead = torch.stack(gradients).lerp_(torch.stack(means), momentum)
            rows, columns = alike[0].shape
            steps = orthogonal(looking_ahead).mul_(-rate * math.sqrt(max(1.0, rows / columns)))
            if decay:
                torch._foreach_mul_(alike, 1 - rate * decay)
            torch._foreach_add_(alike, list(steps.unbind()))

    def _mean(self, parameter: Tensor) -> Tensor:
        """The running mean of a parameter's gradient, zero at first."""
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        mean: Tensor = state["momentum_buffer"]
        return mean


def orthogonal(matrices: Tensor) -> Tensor:
    """Each of (N, R, C) with its singular values brought near 1, in at least float32; a zero matrix stays zero."""
    wide = matrices.shape[-2] <= matrices.shape[-1]
    x = matrices if wide else matrices.mT
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp_min(torch.finfo(x.dtype).tiny)
    a, b, c = QUINTIC
    for _ in range(STEPS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT


def _by_shape(parameters: list[nn.Parameter]) -> Iterator[list[Tensor]]:
    """The parameters that have a gradient, those of one shape together."""
    shapes: dict[torch.Size, list[Tensor]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            shapes.setdefault(parameter.shape, []).append(parameter)
    yield from shapes.values()
