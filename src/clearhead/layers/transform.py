"""The last map before a vocabulary's output matrix in masked language models: norm(activation(x W + b)).

As on top of BERT (arXiv 1810.04805, the published code); it turns a state of the stack into one that is compared with
the rows of the embedding.
"""

from __future__ import annotations

from torch import Tensor, nn

from clearhead.layers.feedforward import ACTIVATIONS
from clearhead.layers.norm import NORMS


class Transform(nn.Module):
    """Each position by itself: (B, T, W) → (B, T, W)."""

    def __init__(self, width: int, activation: str, norm: str, epsilon: float) -> None:
        super().__init__()
        self.dense = nn.Linear(width, width)
        self.activation = ACTIVATIONS[activation]
        self.norm = NORMS[norm](width, epsilon)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """``real`` (B, T) bool as in ``layers.norm``."""
        y: Tensor = self.norm(self.activation(self.dense(x)), real)
        return y
