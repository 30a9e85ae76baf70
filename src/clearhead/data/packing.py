"""Rows of fixed length out of a stream of documents, and the batch that a language model learns from.

A document of n tokens d gives n + 1 steps: start → d_1, d_1 → d_2, …, d_n → end. All steps of all documents stand in
one stream, which is cut into rows; no cell is lost to padding but at the two ends of the stream. Dimensions: B rows,
L steps of a row.
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

Rows = Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True)
class TextBatch:
    """What is read and what should come next. Where ``mask`` is False there is padding, only at the end of a row.

    ``documents`` numbers the documents of each row from 0; None where every token may see all before it in its row.
    """

    ids: Tensor  # (B, L) int64
    targets: Tensor  # (B, L) int64
    mask: Tensor  # (B, L) bool
    documents: Tensor | None  # (B, L) int64
    tokens: int  # real targets, end symbols included

    def __len__(self) -> int:
        """B, the number of rows."""
        return self.ids.shape[0]

    @property
    def real(self) -> int:
        """The tokens that are read, padding left out."""
        return self.tokens

    @property
    def cells(self) -> int:
        """The room for tokens, padding included."""
        return self.ids.numel()

    def to(self, device: torch.device | str) -> TextBatch:
        """The same batch on another device."""
        documents = None if self.documents is None else self.documents.to(device, non_blocking=True)
        ids, targets, mask = (one.to(device, non_blocking=True) for one in (self.ids, self.targets, self.mask))
        return TextBatch(ids, targets, mask, documents, self.tokens)

    def split(self, parts: int) -> list[TextBatch]:
        """At most ``parts`` batches of nearly equal numbers of rows, in order."""
        if parts < 1:
            raise ShapeError(f"a batch can be split into 1 part or more, not {parts}")
        size = -(-len(self) // parts)
        return [self._rows(slice(start, start + size)) for start in range(0, len(self), size)]

    def _rows(self, rows: slice) -> TextBatch:
        width = int(self.mask[rows].sum(1).max())
        part = rows, slice(width)
        documents = None if self.documents is None else self.documents[part]
        cut = TextBatch(self.ids[part], self.targets[part], self.mask[part], documents, int(self.mask[rows].sum()))
        return replace(cut, documents=_needed(documents))


@dataclass(frozen=True)
class TokenStream:
    """``targets`` (N,): the tokens of all documents, each with its end symbol; ``starts``: where each begins."""

    targets: NDArray[np.integer]
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class Grid:
    """Rows of ``length`` steps over a stream of ``steps``; the first row holds only ``offset`` where that is given."""

    steps: int
    length: int
    offset: int = 0

    def __len__(self) -> int:
        """How many rows there are."""
        return (self.offset > 0) + -(-(self.steps - self.offset) // self.length)

    @property
    def lengths(self) -> NDArray[np.int32]:
        """(rows,) steps of each row."""
        lengths = np.full(len(self), self.length, dtype=np.int32)
        if self.offset:
            lengths[0] = self.offset
        lengths[-1] -= lengths.sum(dtype=np.int64) - self.steps
        return lengths

    def bounds(self, row: int) -> tuple[int, int]:
        """The first step of a row, and the one after its last."""
        first = row * self.length - (self.length - self.offset if self.offset else 0)
        return max(first, 0), min(first + self.length, self.steps)


def collate_rows(stream: TokenStream, grid: Grid, rows: Rows, *, masked: bool, symbols: Symbols = HOUSE) -> TextBatch:
    """These rows as one batch; with ``masked``, documents in a row are told apart.

    ``symbols`` are those of the stream's vocabulary, whose start begins each document.
    """
    bounds = [grid.bounds(int(row)) for row in rows]
    width = max(last - first for first, last in bounds)
    ids, targets = (np.full((len(bounds), width), symbols.pad, dtype=np.int64) for _ in range(2))
    documents, start = np.zeros_like(ids), symbols.start
    mask = np.zeros(ids.shape, dtype=np.bool_)
    for number, (first, last) in enumerate(bounds):
        real = slice(last - first)
        targets[number, real] = stream.targets[first:last]
        ids[number, 1 : last - first] = stream.targets[first : last - 1]
        ids[number, 0] = stream.targets[first - 1] if first else start
        begins = stream.starts[slice(*np.searchsorted(stream.starts, (first, last)))] - first
        ids[number, begins] = start
        documents[number, begins[begins > 0]] = 1
        mask[number, real] = True
    numbers = _needed(torch.from_numpy(documents.cumsum(1))) if masked else None
    return TextBatch(torch.from_numpy(ids), torch.from_numpy(targets), torch.from_numpy(mask), numbers, int(mask.sum()))


def _needed(documents: Tensor | None) -> Tensor | None:
    """The numbers of documents, unless each row has but one: then looking back is restriction enough."""
    return None if documents is None or bool((documents == documents[:, :1]).all()) else documents
