"""One batch of sequences of vectors as tensors, with a label for every vector or one for each sequence.

Dimensions: B sequences, T vectors of the longest one, F numbers in a vector. Nothing here knows where they come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.data.ragged import reaches, spread
from clearhead.data.tag_batch import UNSCORED
from clearhead.errors import ShapeError

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class VectorBatch:
    """Padded sequences. ``mask`` is True where a vector is real; padding is 0."""

    vectors: Tensor  # (B, T, F) float32
    mask: Tensor  # (B, T) bool
    labels: Tensor  # (B, T) or (B,) int64, UNSCORED for none
    tokens: int  # labels to be learnt
    real: int  # vectors without padding

    def __len__(self) -> int:
        """B, the number of sequences."""
        return self.vectors.shape[0]

    @property
    def cells(self) -> int:
        """Vectors with padding."""
        return self.mask.numel()

    def to(self, device: torch.device | str) -> VectorBatch:
        """The same batch on another device."""
        vectors, mask, labels = (
            tensor.to(device, non_blocking=True) for tensor in (self.vectors, self.mask, self.labels)
        )
        return VectorBatch(vectors, mask, labels, self.tokens, self.real)

    def split(self, parts: int) -> list[VectorBatch]:
        """At most ``parts`` batches of nearly equal numbers of sequences, in order, without needless padding."""
        if parts < 1:
            raise ShapeError(f"a batch can be split into 1 part or more, not {parts}")
        size = -(-len(self) // parts)
        return [self._rows(start, start + size) for start in range(0, len(self), size)]

    def _rows(self, start: int, stop: int) -> VectorBatch:
        mask, labels = self.mask[start:stop], self.labels[start:stop]
        longest = int(mask.sum(1).max())
        labels = labels[:, :longest] if labels.dim() == 2 else labels
        return VectorBatch(
            vectors=self.vectors[start:stop, :longest],
            mask=mask[:, :longest],
            labels=labels,
            tokens=int((labels != UNSCORED).sum()),
            real=int(mask.sum()),
        )


def collate_vectors(
    rows: Sequence[Vectors], labels: Sequence[NDArray[np.integer]] | NDArray[np.integer]
) -> VectorBatch:
    """Sequences (T, F) as one batch. ``labels``: an array of T for each, or one array with a label for each.

    Raises:
        ShapeError: there are no sequences, one is empty, or the labels do not fit.
    """
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    if not len(lengths) or not lengths.min():
        raise ShapeError("a batch needs at least one sequence, and every sequence at least one vector")
    if len(labels) != len(rows):
        raise ShapeError(f"a batch of {len(rows)} sequences needs as many labels or rows of labels, got {len(labels)}")
    per_row = isinstance(labels, np.ndarray)
    wanted = np.asarray(labels) if per_row else spread(np.concatenate(list(labels)), lengths, fill=UNSCORED)
    return VectorBatch(
        vectors=torch.from_numpy(spread(np.concatenate(list(rows)), lengths)),
        mask=torch.from_numpy(reaches(lengths)),
        labels=torch.from_numpy(wanted.astype(np.int64)),
        tokens=int((wanted != UNSCORED).sum()),
        real=int(lengths.sum()),
    )
