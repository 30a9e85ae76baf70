"""Layers of ``torch.nn.LSTM`` over sequences of any lengths, the baseline that Transformers are measured against.

Hochreiter & Schmidhuber 1997, in torch's form. Sequences are handed over packed, so padding is never read; a row of
several documents is as many sequences. Dropout between layers is the house's, whose draws can be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, pad_packed_sequence

from clearhead.layers.dropout import Dropout


class LSTMStack(nn.Module):
    """L layers of width W, the first reading ``input_width`` (W when not given); both ways, each way gets W / 2."""

    def __init__(
        self, width: int, layers: int, dropout: float, *, both_ways: bool = False, input_width: int | None = None
    ) -> None:
        super().__init__()
        hidden, into = width // (2 if both_ways else 1), [input_width or width] + [width] * (layers - 1)
        self.width = width
        self.blocks = nn.ModuleList(nn.LSTM(size, hidden, batch_first=True, bidirectional=both_ways) for size in into)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """x (B, T, ·) → (B, T, W); each row is a sequence of its ``real`` (B, T) positions; the others get 0."""
        if real is None:
            return self.over(x.flatten(0, 1), [x.shape[1]] * x.shape[0]).view(*x.shape[:2], self.width)
        states = x.new_zeros(*x.shape[:2], self.width, dtype=self.dtype)
        states[real] = self.over(x[real], [length for length in real.sum(1).tolist() if length])
        return states

    def over(self, rows: Tensor, lengths: Sequence[int]) -> Tensor:
        """Sequences of these ``lengths`` one after the other: rows (N, ·) → (N, W)."""
        if not len(rows):
            return rows.new_zeros(0, self.width, dtype=self.dtype)
        with torch.autocast(rows.device.type, enabled=False):
            packed = pack_sequence(list(torch.split(rows.to(self.dtype), list(lengths))), enforce_sorted=False)
            for number, block in enumerate(self.blocks):
                packed = self._dropped(packed) if number else packed
                packed, _ = block(packed)
            padded, found = pad_packed_sequence(packed, batch_first=True)
        return padded[torch.arange(padded.shape[1]) < found[:, None]]

    def step(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """One position: x (N, ·) and state (h, c), each (L, N, W) → (N, W) and the state after it."""
        hidden, cell = [], []
        with torch.autocast(x.device.type, enabled=False):
            y = x.to(self.dtype)[:, None]
            for number, block in enumerate(self.blocks):
                y = self.dropout(y) if number else y
                y, (h, c) = block(y, (state[0][number, None], state[1][number, None]))
                hidden.append(h)
                cell.append(c)
        return y[:, 0], (torch.cat(hidden), torch.cat(cell))

    def read(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The state (h, c), each (L, N, W), after sequences of equal length: x (N, T, ·); one way only."""
        hidden, cell = [], []
        with torch.autocast(x.device.type, enabled=False):
            y = x.to(self.dtype)
            for number, block in enumerate(self.blocks):
                y, (h, c) = block(self.dropout(y) if number else y)
                hidden.append(h)
                cell.append(c)
        return torch.cat(hidden), torch.cat(cell)

    def nothing(self, rows: int) -> tuple[Tensor, Tensor]:
        """The state (h, c), each (L, rows, W), before the first position."""
        zeros = next(self.parameters()).new_zeros(len(self.blocks), rows, self.width)
        return zeros, zeros.clone()

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights; the recurrence is computed in it."""
        return next(self.parameters()).dtype

    def _dropped(self, packed: PackedSequence) -> PackedSequence:
        return packed._replace(data=self.dropout(packed.data))
