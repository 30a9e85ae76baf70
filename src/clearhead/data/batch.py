"""One batch of sentence pairs as tensors: padded, shifted for teacher forcing, masked.

What surrounds a source, and what begins and ends a target, are the symbols of the two vocabularies. What is real is
told by lengths: the id that fills rows up may well be one that also begins or ends a text. Nothing here knows where the
ids come from or what will read them. Dimensions: B rows, S longest source, T longest target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.errors import ShapeError
from clearhead.symbols import HOUSE, Symbols

Ids = Sequence[int] | NDArray[np.integer]
Sides = tuple[Symbols, Symbols]  # of what is read, of what is written


@dataclass(frozen=True)
class PairBatch:
    """Padded sentence pairs; masks are True where a token is real."""

    source: Tensor  # (B, S) int64: ids inside what surrounds them, in our own vocabularies an end behind them
    source_mask: Tensor  # (B, S) bool
    target_in: Tensor  # (B, T) int64: start, opening, ids
    target_out: Tensor  # (B, T) int64: opening, ids, end
    target_mask: Tensor  # (B, T) bool
    tokens: int  # real target tokens, opening and end symbols included
    symbols: Symbols = HOUSE  # of the target's vocabulary

    def __len__(self) -> int:
        """B, the number of pairs."""
        return self.source.shape[0]

    @property
    def real(self) -> int:
        """The tokens of both sides, end symbols included."""
        return int(self.source_mask.sum()) + self.tokens

    @property
    def cells(self) -> int:
        """The room for tokens on both sides, padding included."""
        return self.source.numel() + self.target_in.numel()

    def to(self, device: torch.device | str) -> PairBatch:
        """The same batch on another device."""
        tensors = {name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS}
        return replace(self, **tensors)

    def split(self, parts: int) -> list[PairBatch]:
        """At most ``parts`` batches of nearly equal numbers of rows, in order, without needless padding."""
        if parts < 1:
            raise ShapeError(f"a batch can be split into 1 part or more, not {parts}")
        size = -(-len(self) // parts)
        return [self._rows(start, start + size) for start in range(0, len(self), size)]

    def _rows(self, start: int, stop: int) -> PairBatch:
        source_mask, target_mask = self.source_mask[start:stop], self.target_mask[start:stop]
        width, height = int(source_mask.sum(1).max()), int(target_mask.sum(1).max())
        return replace(
            self,
            source=self.source[start:stop, :width],
            source_mask=source_mask[:, :width],
            target_in=self.target_in[start:stop, :height],
            target_out=self.target_out[start:stop, :height],
            target_mask=target_mask[:, :height],
            tokens=int(target_mask.sum()),
        )


_TENSORS = ("source", "source_mask", "target_in", "target_out", "target_mask")


def collate_pairs(sources: Sequence[Ids], targets: Sequence[Ids], symbols: Sides = (HOUSE, HOUSE)) -> PairBatch:
    """Pad ids without special tokens into one batch, row i from ``sources[i]`` and ``targets[i]``.

    Raises:
        ShapeError: the two sides have different numbers of rows, or none.
    """
    if len(sources) != len(targets) or not len(sources):
        raise ShapeError(
            f"a batch needs as many sources as targets, at least one; got {len(sources)} and {len(targets)}"
        )
    read, written = symbols
    source, source_mask = _padded(sources, read.pad, read.before, read.after)
    target_out, target_mask = _padded(targets, written.pad, written.opening, written.closing)
    target_in, _ = _padded(targets, written.pad, (written.start, *written.opening), ())
    return PairBatch(source, source_mask, target_in, target_out, target_mask, int(target_mask.sum()), written)


def around(symbols: Sides) -> tuple[int, int]:
    """How many special tokens a batch adds to a source and to a target."""
    read, written = symbols
    return len(read.before) + len(read.after), len(written.opening) + len(written.closing)


def _padded(rows: Sequence[Ids], pad: int, before: Sequence[int], after: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Ids (B, L) and mask (B, L) of rows with these symbols around them."""
    shift, around = len(before), len(before) + len(after)
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows)) + around
    ids = np.full((len(rows), max(1, int(lengths.max()))), pad, dtype=np.int64)
    for number, row in enumerate(rows):
        ids[number, shift : shift + len(row)] = row
    ids[:, :shift] = before
    for place, symbol in enumerate(after, start=-len(after)):
        ids[np.arange(len(rows)), lengths + place] = symbol
    mask = np.arange(ids.shape[1]) < lengths[:, None]
    return torch.from_numpy(ids), torch.from_numpy(mask)
