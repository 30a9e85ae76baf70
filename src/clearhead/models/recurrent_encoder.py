"""The encoder as an LSTM that reads both ways (Schuster & Paliwal 1997): a position knows what is on either side."""

from __future__ import annotations

from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.layers.lstm import LSTMStack
from clearhead.mechanism.masks import Mask


class RecurrentEncoder(nn.Module):
    """ids (B, S) → states (B, S, W), as ``Encoder``; each way gives half of the width. Padding is never read."""

    def __init__(self, embedding: nn.Module, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.embedding = embedding
        self.lstm = LSTMStack(width, layers, dropout, both_ways=True)

    def forward(self, ids: Tensor, real: Tensor | None = None) -> Tensor:
        """``real`` (B, S) bool says which positions are no padding; None means all."""
        return self.over(self.embedding(ids), real)

    def over(self, x: Tensor, real: Tensor | None = None, visible: Mask | None = None) -> Tensor:
        """The layers over a stream x (B, S, W) that is embedded already.

        Raises:
            ConfigurationError: ``visible`` is given, but nobody looks at anybody here.
        """
        if visible is not None:
            raise ConfigurationError('visible narrows attention, but body is "lstm", which reads one after the other')
        states: Tensor = self.lstm(x, real)
        return states
