"""Add & Norm, in both orders: post-norm as in the paper (section 3.1, arXiv 1706.03762), pre-norm (arXiv 2002.04745).

post:  x ← norm(x + dropout(f(x)))          pre:  x ← x + dropout(f(norm(x)))
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from clearhead.layers.dropout import Dropout

Sublayer = Callable[[Tensor], Tensor]


class PreNorm(nn.Module):
    """The sublayer reads a normalised copy; the residual stream itself is never normalised on the way."""

    def __init__(self, width: int, epsilon: float, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, sublayer: Sublayer) -> Tensor:
        return self.dropout.add(x, sublayer(self.norm(x)))


class PostNorm(nn.Module):
    """The sum of stream and sublayer is normalised."""

    def __init__(self, width: int, epsilon: float, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=epsilon)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, sublayer: Sublayer) -> Tensor:
        y: Tensor = self.norm(self.dropout.add(x, sublayer(x)))
        return y


AROUND: dict[str, type[PreNorm] | type[PostNorm]] = {"pre": PreNorm, "post": PostNorm}
