"""A prepared corpus of sentence pairs on disk, memory-mapped: opening costs nothing and holds nothing in memory.

The folder holds ``corpus.json`` and, for each segmentation k, raw little-endian arrays: ``source.k.bin`` and
``target.k.bin`` (token ids), ``starts.k.bin`` (where a row begins in them) and ``lengths.k.bin``, each a pair of
numbers per row; ``lines.bin`` says which line of the input a row came from. The special symbols of both vocabularies
stand in ``corpus.json``. It does not know how all that was written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from clearhead.data.batch import PairBatch, Sides, around, collate_pairs
from clearhead.errors import RunError
from clearhead.symbols import Symbols

FORMAT = 1
SIDES = ("source", "target")
STARTS, LENGTHS, LINES = np.dtype("<i8"), np.dtype("<i4"), np.dtype("<i8")
Rows = Sequence[int] | NDArray[np.integer]


class PairCorpus:
    """N pairs of token rows, without special tokens, in one or more segmentations (``samples``)."""

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        """Use ``open``, which reads and checks ``description``."""
        self.folder = folder
        self.samples: int = description["samples"]
        self.ledger: dict[str, Any] = description["ledger"]
        self.inputs: dict[str, str] = description["inputs"]
        self.fingerprint: str = description["fingerprint"]
        self.symbols = _symbols(description)
        self._tokens: list[list[int]] = description["tokens"]
        self._stored: list[list[int]] = description["stored"]
        self._pairs: int = description["pairs"]
        self._token_dtypes = [np.dtype(name) for name in description["dtypes"]]
        self._arrays = [self._map_sample(sample) for sample in range(self.samples)]
        self._lines = self._map("lines.bin", LINES, (self._pairs,))

    @classmethod
    def open(cls, folder: Path) -> PairCorpus:
        """Map a prepared corpus.

        Raises:
            RunError: the folder is not a prepared corpus, or a file of it is missing or has the wrong size.
        """
        try:
            description = json.loads((folder / "corpus.json").read_text(encoding="utf-8"))
            if description["format"] != FORMAT:
                raise RunError(
                    f"{folder} holds a corpus of format {description['format']}, expected {FORMAT}: prepare it anew"
                )
            return cls(folder, description)
        except FileNotFoundError as error:
            raise RunError(f"{folder} is not a prepared corpus: {Path(error.filename).name} is missing") from error
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder / 'corpus.json'} is damaged: {error}") from error

    def __len__(self) -> int:
        """N, the number of pairs."""
        return self._pairs

    def lengths(self, sample: int = 0) -> NDArray[np.int32]:
        """(N, 2) tokens of source and target of every pair in a batch, less the one that an order of batches adds.

        Where one special token is added to a side, as by our own vocabularies, these are memory-mapped.
        """
        lengths: NDArray[np.int32] = self._arrays[sample]["lengths"]
        more = np.array(around(self.symbols), dtype=np.int32) - 1
        return lengths + more if more.any() else lengths

    def tokens(self, sample: int = 0) -> tuple[int, int]:
        """Tokens of all sources and of all targets, without special tokens."""
        source, target = self._tokens[sample]
        return source, target

    def lines(self, indices: Rows) -> NDArray[np.int64]:
        """The line of the input, from 1, that each pair came from."""
        return np.asarray(self._lines[np.asarray(indices, dtype=np.int64)])

    def rows(self, indices: Rows, sample: int = 0) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
        """Token ids of the sources and of the targets of these pairs, read-only, without special tokens."""
        arrays = self._arrays[sample]
        chosen = np.asarray(indices, dtype=np.int64)
        starts, ends = arrays["starts"][chosen], arrays["starts"][chosen] + arrays["lengths"][chosen]
        source, target = (
            [arrays[side][start:end] for start, end in zip(starts[:, number], ends[:, number], strict=True)]
            for number, side in enumerate(SIDES)
        )
        return source, target

    def batch(self, rows: Rows, sample: int = 0) -> PairBatch:
        """These pairs, padded and shifted for teacher forcing."""
        return collate_pairs(*self.rows(rows, sample), self.symbols)

    def _map_sample(self, sample: int) -> dict[str, NDArray[Any]]:
        both = (self._pairs, len(SIDES))
        arrays = {
            "starts": self._map(f"starts.{sample}.bin", STARTS, both),
            "lengths": self._map(f"lengths.{sample}.bin", LENGTHS, both),
        }
        for number, side in enumerate(SIDES):
            shape = (self._stored[sample][number],)
            arrays[side] = self._map(f"{side}.{sample}.bin", self._token_dtypes[number], shape)
        return arrays

    def _map(self, name: str, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
        path = self.folder / name
        expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if path.stat().st_size != expected:
            raise RunError(
                f"{path} has {path.stat().st_size} bytes, expected {expected}: it is damaged, prepare it anew"
            )
        # A plain array over the map: numpy's own memmap class makes every slice several times dearer.
        return np.asarray(np.memmap(path, dtype=dtype, mode="r", shape=shape))


def _symbols(description: dict[str, Any]) -> Sides:
    """Those of both sides; the house's where a corpus was written before there were others."""
    read, written = (Symbols.model_validate(side) for side in description.get("symbols", ({}, {})))
    return read, written
