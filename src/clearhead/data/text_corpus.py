"""A prepared corpus of labelled texts on disk, memory-mapped: rows of numbers into a table of what the model reads.

``numbers.k`` holds the texts of segmentation k one after another and ``starts.k`` where each begins; ``labels`` and
``label_starts`` are the same for labels; ``ids``, ``ngrams`` and ``ngram_starts`` are the table; ``lines`` says where a
text stood in its file. How they were written is not known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clearhead.data.array_folder import Arrays, open_arrays
from clearhead.data.ragged import Ragged
from clearhead.data.text_batch import TextBatch, collate_texts, label_sets
from clearhead.data.text_reader import TextTable

KIND, FORMAT = "labelled texts", 2


class TextCorpus:
    """N texts, each with a label, or with any number of them where ``sets`` says so."""

    def __init__(self, arrays: Arrays, page: dict[str, Any]) -> None:
        """Use ``open``, which reads and checks both."""
        self.ledger: dict[str, Any] = page["ledger"]
        self.inputs: dict[str, str] = page["inputs"]
        self.fingerprint: str = page["fingerprint"]
        self.samples: int = page["samples"]
        self.classes: int = page["classes"]
        self.sets: bool = page["sets"]
        ngrams = Ragged(arrays["ngrams"], arrays["ngram_starts"]) if "ngrams" in arrays else None
        self.table = TextTable(arrays["ids"], ngrams, tuple(page["before"]), tuple(page["after"]))
        self._around = len(self.table.before) + len(self.table.after)
        self.lines = arrays["lines"]
        self._texts = [Ragged(arrays[f"numbers.{k}"], arrays[f"starts.{k}"]) for k in range(self.samples)]
        self._labels = Ragged(arrays["labels"], arrays["label_starts"])

    @classmethod
    def open(cls, folder: Path) -> TextCorpus:
        """Map a prepared corpus.

        Raises:
            RunError: the folder is not a prepared corpus, or a file of it is missing or has the wrong size.
        """
        return cls(*open_arrays(folder, KIND, FORMAT))

    def __len__(self) -> int:
        """N, the number of texts."""
        return len(self._labels)

    @property
    def positions(self) -> int:
        """What the texts take in the model, the symbols around them included."""
        return len(self._texts[0].values) + self._around * len(self)

    def lengths(self, sample: int = 0) -> NDArray[np.int32]:
        """(N, 1) positions of every text, less the one that an order of batches adds for a symbol of its own."""
        return np.asarray(np.diff(self._texts[sample].starts)[:, None] + self._around - 1, dtype=np.int32)

    def batch(self, rows: NDArray[np.int64], sample: int = 0) -> TextBatch:
        """These texts, padded, with their labels."""
        texts = self._texts[sample]
        numbers = [texts.values[texts.starts[row] : texts.starts[row + 1]] for row in rows]
        labels = self._labels
        if not self.sets:
            wanted = torch.from_numpy(np.asarray(labels.values[labels.starts[rows]], dtype=np.int64))
        else:
            sets = [labels.values[labels.starts[row] : labels.starts[row + 1]] for row in rows]
            wanted = label_sets(sets, self.classes)
        return collate_texts(self.table, numbers, wanted)
