"""Add & Norm, in both orders: post-norm as in the paper (section 3.1, arXiv 1706.03762), pre-norm (arXiv 2002.04745).

post:  x ← norm(x + dropout(f(x)))          pre:  x ← x + dropout(f(norm(x)))
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from clearhead.layers.dropout import Dropout
from clearhead.layers.norm import NORMS

Sublayer = Callable[[Tensor], Tensor]


class PreNorm(nn.Module):
    """The sublayer reads a normalised copy; the residual stream itself is never normalised on the way."""

    def __init__(self, width: int, epsilon: float, dropout: float, norm: str = "layer") -> None:
        super().__init__()
        self.norm = NORMS[norm](width, epsilon)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, sublayer: Sublayer, real: Tensor | None = None) -> Tensor:
        """``real`` (B, T) bool: the positions that are no padding, for norms that look at several; None for all."""
        return self.dropout.add(x, sublayer(self.norm(x, real)))


class PostNorm(nn.Module):
    """The sum of stream and sublayer is normalised."""

    def __init__(self, width: int, epsilon: float, dropout: float, norm: str = "layer") -> None:
        super().__init__()
        self.norm = NORMS[norm](width, epsilon)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, sublayer: Sublayer, real: Tensor | None = None) -> Tensor:
        """``real`` as in ``PreNorm``."""
        y: Tensor = self.norm(self.dropout.add(x, sublayer(x)), real)
        return y


AROUND: dict[str, type[PreNorm] | type[PostNorm]] = {"pre": PreNorm, "post": PostNorm}
