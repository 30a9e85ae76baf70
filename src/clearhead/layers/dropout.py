"""Dropout as a module: active in training only (Srivastava et al. 2014); the arithmetic is ``mechanism.dropout``'s."""

from __future__ import annotations

from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.mechanism.dropout import drop


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
