"""Writes the arrays of a prepared corpus, row by row and front to back, without holding them.

Rows may be taken out again at the end (duplicates): their tokens stay in the token files, only the tables that point
at them are rewritten. The layout is that of ``corpus``; policies are not known here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from clearhead.data.corpus import LENGTHS, LINES, SIDES, STARTS

Sides = tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]]
_CHUNK = 1 << 18


class CorpusWriter:
    """The open files of one corpus in the making; use as a context manager."""

    def __init__(self, folder: Path, vocabularies: tuple[int, int], samples: int) -> None:
        """``vocabularies``: sizes of source and target vocabulary, which decide how wide an id is stored."""
        self.folder = folder
        self.samples = samples
        self.dtypes = [np.dtype("<u2" if size <= 1 << 16 else "<u4") for size in vocabularies]
        self.stored = [[0, 0] for _ in range(samples)]
        self.pairs = 0
        self._files: dict[str, IO[bytes]] = {}

    def __enter__(self) -> CorpusWriter:
        """Create the files."""
        names = ["lines.bin", *(name for sample in range(self.samples) for name in _sample_files(sample))]
        self._files = {name: (self.folder / name).open("wb") for name in names}
        return self

    def __exit__(self, *_: object) -> None:
        """Flush everything to the disk and close."""
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def append(self, segmentations: Sequence[Sides], lines: Sequence[int]) -> None:
        """Add rows: for each segmentation the ids of both sides, and the input line of each row."""
        self._files["lines.bin"].write(np.asarray(lines, dtype=LINES).tobytes())
        self.pairs += len(lines)
        for sample, sides in enumerate(segmentations):
            lengths = np.array([[len(row) for row in rows] for rows in sides], dtype=np.int64).T
            ends = np.cumsum(lengths, axis=0) + self.stored[sample]
            self._files[f"starts.{sample}.bin"].write((ends - lengths).astype(STARTS).tobytes())
            self._files[f"lengths.{sample}.bin"].write(lengths.astype(LENGTHS).tobytes())
            for number, side in enumerate(SIDES):
                ids = np.fromiter(chain.from_iterable(sides[number]), self.dtypes[number])
                self._files[f"{side}.{sample}.bin"].write(ids.tobytes())
                self.stored[sample][number] += len(ids)


def _sample_files(sample: int) -> list[str]:
    return [f"{name}.{sample}.bin" for name in (*SIDES, "starts", "lengths")]


def keep_rows(folder: Path, samples: int, repeated: NDArray[np.bool_]) -> None:
    """Take the rows marked in ``repeated`` out of the tables of a written corpus."""
    tables: list[tuple[str, np.dtype[Any], int]] = [("lines.bin", LINES, 1)]
    for sample in range(samples):
        tables += [(f"starts.{sample}.bin", STARTS, 2), (f"lengths.{sample}.bin", LENGTHS, 2)]
    for name, dtype, columns in tables:
        kept = (folder / name).with_suffix(".kept")
        with kept.open("wb") as file:
            for part in _kept_parts(folder / name, dtype, columns, repeated):
                file.write(part.tobytes())
            file.flush()
            os.fsync(file.fileno())
        kept.replace(folder / name)


def _kept_parts(path: Path, dtype: np.dtype[Any], columns: int, repeated: NDArray[np.bool_]) -> Iterator[NDArray[Any]]:
    with path.open("rb") as file:
        for first in range(0, len(repeated), _CHUNK):
            flags = repeated[first : first + _CHUNK]
            part = np.frombuffer(file.read(len(flags) * columns * dtype.itemsize), dtype).reshape(len(flags), columns)
            yield part[~flags]
