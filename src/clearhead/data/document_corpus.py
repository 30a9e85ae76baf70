"""A prepared corpus of documents on disk, memory-mapped: one stream of tokens, cut into rows when they are asked for.

The folder holds ``tokens.bin`` (the ids of every document, each with its end symbol), ``starts.bin`` (where each
document begins in it) and ``corpus.json``, where the vocabulary's special symbols stand, too. How they were written is
not known here, nor what a model does with rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clearhead.data.array_folder import PAGE, Arrays, open_arrays
from clearhead.data.packing import Grid, Rows, TextBatch, TokenStream, collate_rows
from clearhead.errors import RunError
from clearhead.symbols import Symbols

KIND, FORMAT = "documents", 1
STARTS = np.dtype("<i8")
Packing = Literal["documents", "continuous"]


class DocumentCorpus:
    """Rows of ``length`` steps; ``samples`` grids of rows, each beginning a little later than the one before."""

    def __init__(self, arrays: Arrays, page: dict[str, Any]) -> None:
        """Use ``open``, which reads and checks the files."""
        self.ledger: dict[str, Any] = page["ledger"]
        self.fingerprint: str = page["fingerprint"]
        self.inputs: dict[str, str] = page["made_of"]["inputs"]
        self.packing: Packing = page["made_of"]["packing"]
        self.samples: int = page["made_of"]["offsets"]
        self.counts: dict[str, int] = page["counts"]
        self.symbols = Symbols.model_validate(page.get("symbols", {}))  # the house's where none were written down
        self.stream = TokenStream(arrays["tokens"], arrays["starts"])
        length, steps = int(page["made_of"]["length"]), len(arrays["tokens"])
        shifts = [length * sample // self.samples for sample in range(self.samples)]
        self._grids = [Grid(steps, length, min(shift, steps - 1)) for shift in shifts]

    @classmethod
    def open(cls, folder: Path) -> DocumentCorpus:
        """Map a prepared corpus.

        Raises:
            RunError: the folder is not a prepared corpus, or a file of it is missing or has the wrong size.
        """
        arrays, page = open_arrays(folder, KIND, FORMAT)
        try:
            return cls(arrays, page)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{folder / PAGE} is damaged: {error}") from error

    def __len__(self) -> int:
        """How many rows the first grid has."""
        return len(self._grids[0])

    def lengths(self, sample: int = 0) -> NDArray[np.int32]:
        """(N, 1) steps of each row, less the one that an order of batches adds for a symbol of its own."""
        return self._grids[sample].lengths[:, None] - 1

    def batch(self, rows: Rows, sample: int = 0) -> TextBatch:
        """These rows of grid ``sample``."""
        masked = self.packing == "documents"
        return collate_rows(self.stream, self._grids[sample], rows, masked=masked, symbols=self.symbols)
