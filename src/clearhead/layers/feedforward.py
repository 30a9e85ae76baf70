"""The position-wise feed-forward network: W, out to ``hidden``, back to W (section 3.3, arXiv 1706.03762)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.layers.dropout import Dropout

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}


class FeedForward(nn.Module):
    """activation(x W_in + b_in) W_out + b_out, each position by itself: (…, W) → (…, W)."""

    def __init__(self, width: int, hidden: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.into = nn.Linear(width, hidden)
        self.activation = ACTIVATIONS[activation]
        self.dropout = Dropout(dropout)
        self.out = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.out(self.dropout(self.activation(self.into(x))))
        return y
