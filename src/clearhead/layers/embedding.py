"""From token numbers to the residual stream: one row of the embedding matrix a token, plus where it stands.

Sinusoidal positions are section 3.5 of arXiv 1706.03762; learned ones are a second matrix. Embeddings are scaled by √W
so that tied matrices serve as output weights too (section 3.4).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from clearhead.errors import ShapeError
from clearhead.layers.dropout import Dropout


class SinusoidalPositions(nn.Module):
    """PE(p, 2i) = sin(p / 10000^(2i/W)), PE(p, 2i+1) = cos of the same; nothing is learned."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table", sinusoids(positions, width), persistent=False)

    def forward(self, start: int, count: int) -> Tensor:
        table: Tensor = self.table  # type: ignore[assignment]
        return table[start : start + count]


class LearnedPositions(nn.Module):
    """A trainable row for each position."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(positions, width))

    def forward(self, start: int, count: int) -> Tensor:
        return self.weight[start : start + count]


class NoPositions(nn.Module):
    """Order is left to the masks; without one the model is permutation-equivariant."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()

    def forward(self, start: int, count: int) -> float:
        return 0.0


POSITIONS: dict[str, type[nn.Module]] = {
    "sinusoidal": SinusoidalPositions,
    "learned": LearnedPositions,
    "none": NoPositions,
}


class Embedding(nn.Module):
    """ids (B, T) int64 → (B, T, W). ``tokens`` is handed in so that it can be shared (tied)."""

    def __init__(self, tokens: nn.Embedding, positions: nn.Module, limit: int, dropout: float) -> None:
        super().__init__()
        self.tokens = tokens
        self.positions = positions
        self.limit = limit
        self.scale = math.sqrt(tokens.embedding_dim)
        self.dropout = Dropout(dropout)

    def forward(self, ids: Tensor, start: int = 0) -> Tensor:
        end = start + ids.shape[-1]
        if end > self.limit:
            raise ShapeError(f"the model has {self.limit} positions (max_positions), the input needs {end}")
        x = self.tokens(ids) * self.scale + self.positions(start, ids.shape[-1])
        y: Tensor = self.dropout(x)
        return y


def sinusoids(positions: int, width: int) -> Tensor:
    """The table (positions, W) of sines in even and cosines in odd columns, computed in float64."""
    frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
    angle = torch.arange(positions, dtype=torch.float64)[:, None] * frequency
    table = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)
    return table[:, :width].to(torch.get_default_dtype())
