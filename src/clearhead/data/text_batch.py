"""One batch of texts as tensors, each with the symbols around it, with the label or the labels to be learnt.

Dimensions: B texts, P positions of the longest one, N n-grams of the word with most, C labels. Nothing here knows where
texts come from or what will read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.data.ragged import reaches, spread
from clearhead.data.text_reader import TextTable
from clearhead.errors import ShapeError

Numbers = Sequence[int] | NDArray[np.integer]


@dataclass(frozen=True)
class TextBatch:
    """Padded texts. ``mask`` is True where a position is real; padding is id 0."""

    ids: Tensor  # (B, P) int64, the symbols around a text included
    mask: Tensor  # (B, P) bool
    ngrams: Tensor | None  # (B, P, N) int64, 0 for none: where the model reads n-grams
    labels: Tensor  # (B,) int64 for one label a text, (B, C) bool for any number of them
    real: int  # positions without padding

    def __len__(self) -> int:
        """B, the number of texts."""
        return self.ids.shape[0]

    @property
    def tokens(self) -> int:
        """What the loss counts: texts."""
        return len(self)

    @property
    def cells(self) -> int:
        """Positions with padding."""
        return self.ids.numel()

    def to(self, device: torch.device | str) -> TextBatch:
        """The same batch on another device."""
        return replace(
            self,
            ids=self.ids.to(device, non_blocking=True),
            mask=self.mask.to(device, non_blocking=True),
            ngrams=None if self.ngrams is None else self.ngrams.to(device, non_blocking=True),
            labels=self.labels.to(device, non_blocking=True),
        )

    def split(self, parts: int) -> list[TextBatch]:
        """At most ``parts`` batches of nearly equal numbers of texts, in order, without needless padding."""
        if parts < 1:
            raise ShapeError(f"a batch can be split into 1 part or more, not {parts}")
        size = -(-len(self) // parts)
        return [self._rows(start, start + size) for start in range(0, len(self), size)]

    def _rows(self, start: int, stop: int) -> TextBatch:
        mask = self.mask[start:stop]
        width = int(mask.sum(1).max())
        return TextBatch(
            ids=self.ids[start:stop, :width],
            mask=mask[:, :width],
            ngrams=None if self.ngrams is None else self.ngrams[start:stop, :width],
            labels=self.labels[start:stop],
            real=int(mask.sum()),
        )


def collate_texts(table: TextTable, rows: Sequence[Numbers], labels: Tensor) -> TextBatch:
    """Texts as numbers of ``table``, without the symbols around them, as one batch.

    Raises:
        ShapeError: there are no texts, or not as many rows of ``labels``.
    """
    if not len(rows) or len(rows) != len(labels):
        raise ShapeError(f"a batch needs as many labels as texts, at least one; got {len(labels)} and {len(rows)}")
    around = len(table.before) + len(table.after)
    lengths = np.fromiter((len(row) + around for row in rows), np.int64, len(rows))
    before, after = np.array(table.before, dtype=np.int64), np.array(table.after, dtype=np.int64)
    numbers = np.concatenate([part for row in rows for part in (before, np.asarray(row, dtype=np.int64), after)])
    ngrams = None
    if table.ngrams is not None:
        ngrams = torch.from_numpy(spread(table.ngrams.padded(numbers).astype(np.int64), lengths))
    return TextBatch(
        ids=torch.from_numpy(spread(table.ids[numbers].astype(np.int64), lengths)),
        mask=torch.from_numpy(reaches(lengths)),
        ngrams=ngrams,
        labels=labels,
        real=int(lengths.sum()),
    )


def label_sets(rows: Sequence[Numbers], classes: int) -> Tensor:
    """(B, C) bool, True where a text has a label."""
    table = np.zeros((len(rows), classes), dtype=np.bool_)
    for number, row in enumerate(rows):
        table[number, np.asarray(row, dtype=np.int64)] = True
    return torch.from_numpy(table)
