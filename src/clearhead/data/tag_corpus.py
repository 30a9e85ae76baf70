"""A prepared corpus of tagged sentences on disk, memory-mapped: each distinct word once, sentences as their numbers.

``words`` and ``tags`` hold sentence after sentence, ``starts`` where each begins, ``lengths`` its positions in the
model, ``lines`` where it stood in its file; ``pieces`` and ``ngrams`` are the rows of a ``word_table.WordTable``. How
they were written is not known here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearhead.data.array_folder import Arrays, open_arrays
from clearhead.data.ragged import Ragged
from clearhead.data.tag_batch import TagBatch, collate_tagged
from clearhead.data.word_table import WordTable

KIND, FORMAT = "tagged sentences", 1


class TagCorpus:
    """N sentences, each word with its tag."""

    samples = 1

    def __init__(self, arrays: Arrays, page: dict[str, Any]) -> None:
        """Use ``open``, which reads and checks both."""
        self.ledger: dict[str, Any] = page["ledger"]
        self.inputs: dict[str, str] = page["inputs"]
        self.fingerprint: str = page["fingerprint"]
        ngrams = Ragged(arrays["ngrams"], arrays["ngram_starts"]) if page["ngrams"] else None
        pieces = Ragged(arrays["pieces"], arrays["piece_starts"])
        self.table = WordTable(pieces, ngrams, page["pooled"], page.get("around", False))
        self.lines = arrays["lines"]
        self._words, self._tags, self._starts = arrays["words"], arrays["tags"], arrays["starts"]
        self._lengths = arrays["lengths"]

    @classmethod
    def open(cls, folder: Path) -> TagCorpus:
        """Map a prepared corpus.

        Raises:
            RunError: the folder is not a prepared corpus, or a file of it is missing or has the wrong size.
        """
        return cls(*open_arrays(folder, KIND, FORMAT))

    def __len__(self) -> int:
        """N, the number of sentences."""
        return len(self._lengths)

    @property
    def words(self) -> int:
        """Words of all sentences."""
        return len(self._words)

    @property
    def positions(self) -> int:
        """What they take in the model."""
        return int(self._lengths.sum(dtype=np.int64))

    def lengths(self, sample: int = 0) -> NDArray[np.int32]:
        """(N, 1) positions of every sentence, less the one that an order of batches adds for a symbol of its own."""
        return np.asarray(self._lengths[:, None] - 1, dtype=np.int32)

    def batch(self, rows: NDArray[np.int64], sample: int = 0) -> TagBatch:
        """These sentences, padded."""
        spans = [slice(self._starts[row], self._starts[row + 1]) for row in rows]
        return collate_tagged(self.table, [self._words[span] for span in spans], [self._tags[span] for span in spans])
