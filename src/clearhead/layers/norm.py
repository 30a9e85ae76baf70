"""Normalisation of the residual stream, (B, T, W) → (B, T, W), under one signature: the stream and what is real in it.

    layer   (x − mean) / √(var + ε) · gain + shift, over the W values of a position      (arXiv 1607.06450)
    rms     x / √(mean of x² + ε) · gain, over the W values of a position                (arXiv 1910.07467)
    batch   as layer, but over all real positions of the batch, for each of the W values (arXiv 1502.03167)
    none    x

``real`` (B, T) bool says which positions are no padding; None means all. Only batch normalisation has to know.
``held`` is the norm as the linear map it is once its statistics stand still, for whoever takes a stream apart.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """Each position by itself."""

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    @property
    def shift(self) -> Tensor:
        """What is added whatever comes in (W,)."""
        return self.bias

    def held(self, part: Tensor, x: Tensor) -> Tensor:
        """What ``part`` (P, W) of x (W,) becomes under the statistics of x; with ``shift`` the sum is the norm of x."""
        scale = torch.rsqrt(x.var(correction=0) + self.eps)
        return (part - part.mean(-1, keepdim=True)) * scale * self.weight


class RMSNorm(nn.Module):
    """Each position by itself, its mean left where it is; no shift."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.epsilon)

    @property
    def shift(self) -> None:
        """Nothing is added."""
        return None

    def held(self, part: Tensor, x: Tensor) -> Tensor:
        """See ``LayerNorm``."""
        return part * torch.rsqrt(x.square().mean() + self.epsilon) * self.weight


class BatchNorm(nn.Module):
    """Each of the W values over the whole batch in training; by running statistics in evaluation.

    Padding counts neither for the batch's statistics nor for the running ones, which follow them as in
    ``torch.nn.BatchNorm1d``. In training every position thus sees the whole batch, later positions included, which is
    one reason why Transformers use the others; in evaluation a decoder is as causal as ever.
    """

    MOMENTUM = 0.1
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        mean, variance = self._of_batch(x, real) if self.training else (self.running_mean, self.running_var)
        gain = self.weight * torch.rsqrt(variance + self.epsilon)
        return ((x - mean) * gain + self.bias).to(x.dtype)

    @property
    def shift(self) -> Tensor:
        """See ``LayerNorm``; by the running statistics."""
        return self.bias - self.running_mean * self._gain()

    def held(self, part: Tensor, x: Tensor) -> Tensor:
        """See ``LayerNorm``; by the running statistics."""
        return part * self._gain()

    def _gain(self) -> Tensor:
        return self.weight * torch.rsqrt(self.running_var + self.epsilon)

    def _of_batch(self, x: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
        seen = x.flatten(0, -2) if real is None else x[real]
        if not len(seen):
            return self.running_mean, self.running_var
        variance, mean = torch.var_mean(seen.to(self.weight.dtype), dim=0, correction=0)
        with torch.no_grad():
            unbiased = variance * (len(seen) / max(1, len(seen) - 1))
            self.running_mean.lerp_(mean, self.MOMENTUM)
            self.running_var.lerp_(unbiased, self.MOMENTUM)
        return mean, variance


class NoNorm(nn.Module):
    """The stream as it is."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        return x

    @property
    def shift(self) -> None:
        """Nothing is added."""
        return None

    def held(self, part: Tensor, x: Tensor) -> Tensor:
        """The part as it is."""
        return part


NORMS: dict[str, Callable[[int, float], nn.Module]] = {
    "layer": LayerNorm,
    "rms": RMSNorm,
    "batch": BatchNorm,
    "none": NoNorm,
}
