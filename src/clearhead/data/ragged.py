"""Rows of different lengths in one array, one after another, and any of them side by side with padding behind."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Ragged:
    """Row i is ``values[starts[i] : starts[i + 1]]``; one start more than there are rows."""

    def __init__(self, values: NDArray[Any], starts: NDArray[np.int64]) -> None:
        self.values = values
        self.starts = starts

    @classmethod
    def of(cls, rows: Sequence[Sequence[int]], dtype: DTypeLike = np.int32) -> Ragged:
        """The same rows in one array."""
        values = np.fromiter(chain.from_iterable(rows), dtype)
        starts = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=starts[1:])
        return cls(values, starts)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def lengths(self, indices: NDArray[np.integer]) -> NDArray[np.int64]:
        """How long these rows are."""
        return np.asarray(self.starts[indices + 1] - self.starts[indices])

    def flat(self, indices: NDArray[np.integer]) -> NDArray[Any]:
        """These rows one after another, without padding."""
        lengths = self.lengths(indices)
        behind = np.cumsum(lengths)
        shift = np.repeat(self.starts[indices] - (behind - lengths), lengths)
        return np.asarray(self.values[np.arange(len(shift)) + shift])

    def padded(self, indices: NDArray[np.integer]) -> NDArray[Any]:
        """(rows, longest) these rows side by side, 0 behind the shorter ones."""
        lengths = self.lengths(indices)
        return spread(self.flat(indices), lengths)


def spread(flat: NDArray[Any], lengths: NDArray[np.integer], fill: int = 0) -> NDArray[Any]:
    """(rows, longest, …) what stands in ``flat`` one row after another, cut by ``lengths``, ``fill`` behind each."""
    width = int(lengths.max()) if len(lengths) else 0
    table = np.full((len(lengths), width, *flat.shape[1:]), fill, dtype=flat.dtype)
    table[reaches(lengths)] = flat
    return table


def reaches(lengths: NDArray[np.integer]) -> NDArray[np.bool_]:
    """(rows, longest) True where a row of that length has something."""
    width = int(lengths.max()) if len(lengths) else 0
    return np.asarray(np.arange(width) < np.asarray(lengths)[:, None])
