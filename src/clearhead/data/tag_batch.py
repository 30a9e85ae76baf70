"""One batch of sentences as tensors: positions for the model to read, and a tag a word to be learnt.

Dimensions: B sentences, P positions of the longest one, W words of the longest one, N n-grams of the word with most.
Where words are whole, P = W. Nothing here knows where words and tags come from or what will read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.data.ragged import reaches, spread
from clearhead.data.word_table import WordTable
from clearhead.errors import ShapeError

UNSCORED = -1  # the tag of padding, and of a word whose tag training never saw
Numbers = NDArray[np.integer]


@dataclass(frozen=True)
class TagBatch:
    """Padded sentences. ``mask`` is True where a position is real; padding is id 0."""

    ids: Tensor  # (B, P) int64
    mask: Tensor  # (B, P) bool
    ngrams: Tensor | None  # (B, P, N) int64, 0 for none: where the model reads n-grams
    words: Tensor | None  # (B, P) int64, the number of the word that a piece belongs to, -1 in padding: where pooled
    tags: Tensor  # (B, W) int64, UNSCORED for none
    tokens: int  # tags to be learnt
    real: int  # positions without padding

    def __len__(self) -> int:
        """B, the number of sentences."""
        return self.ids.shape[0]

    @property
    def cells(self) -> int:
        """Positions with padding."""
        return self.ids.numel()

    def to(self, device: torch.device | str) -> TagBatch:
        """The same batch on another device."""
        return TagBatch(
            ids=self.ids.to(device, non_blocking=True),
            mask=self.mask.to(device, non_blocking=True),
            ngrams=None if self.ngrams is None else self.ngrams.to(device, non_blocking=True),
            words=None if self.words is None else self.words.to(device, non_blocking=True),
            tags=self.tags.to(device, non_blocking=True),
            tokens=self.tokens,
            real=self.real,
        )

    def split(self, parts: int) -> list[TagBatch]:
        """At most ``parts`` batches of nearly equal numbers of sentences, in order, without needless padding."""
        if parts < 1:
            raise ShapeError(f"a batch can be split into 1 part or more, not {parts}")
        size = -(-len(self) // parts)
        return [self._rows(start, start + size) for start in range(0, len(self), size)]

    def _rows(self, start: int, stop: int) -> TagBatch:
        mask, tags = self.mask[start:stop], self.tags[start:stop]
        width = int(mask.sum(1).max())
        words = None if self.words is None else self.words[start:stop, :width]
        longest = width if words is None else int(words.max()) + 1
        tags = tags[:, :longest]
        return TagBatch(
            ids=self.ids[start:stop, :width],
            mask=mask[:, :width],
            ngrams=None if self.ngrams is None else self.ngrams[start:stop, :width],
            words=words,
            tags=tags,
            tokens=int((tags != UNSCORED).sum()),
            real=int(mask.sum()),
        )


def collate_tagged(table: WordTable, sentences: Sequence[Numbers], tags: Sequence[Numbers] | None = None) -> TagBatch:
    """Sentences of rows of ``table`` as one batch; without ``tags`` nothing is to be learnt.

    Raises:
        ShapeError: there are no sentences, a sentence has no words, or not as many tags.
    """
    counts = np.fromiter((len(sentence) for sentence in sentences), np.int64, len(sentences))
    if not len(counts) or not counts.min():
        raise ShapeError("a batch needs at least one sentence, and every sentence at least one word")
    if tags is not None and [len(row) for row in tags] != counts.tolist():
        raise ShapeError("a sentence needs as many tags as it has words")
    learnt = np.full(counts.sum(), UNSCORED) if tags is None else np.concatenate(tags).astype(np.int64)
    rows, places = _rows_and_places(table, sentences)
    words, numbers = np.concatenate(rows), np.concatenate(places)
    sizes = table.positions(words)
    read = np.fromiter(map(len, rows), np.int64, len(rows))
    lengths = np.add.reduceat(sizes, np.cumsum(read) - read)
    ids = spread(table.pieces.flat(words).astype(np.int64), lengths)
    return TagBatch(
        ids=torch.from_numpy(ids),
        mask=torch.from_numpy(reaches(lengths)),
        ngrams=_ngrams(table, words, lengths),
        words=torch.from_numpy(spread(np.repeat(numbers, sizes), lengths, fill=-1)) if table.pooled else None,
        tags=torch.from_numpy(spread(learnt, counts, fill=UNSCORED)),
        tokens=int((learnt != UNSCORED).sum()),
        real=int(lengths.sum()),
    )


def _rows_and_places(table: WordTable, sentences: Sequence[Numbers]) -> tuple[list[Numbers], list[Numbers]]:
    """The rows of ``table`` that each sentence is read as, and which word of it each is, -1 for none."""
    places: list[Numbers] = [np.arange(len(sentence)) for sentence in sentences]
    if not table.around:
        return list(sentences), places
    before, after, nothing = np.array([len(table.pieces) - 2]), np.array([len(table.pieces) - 1]), np.array([-1])
    return (
        [np.concatenate((before, sentence, after)) for sentence in sentences],
        [np.concatenate((nothing, place, nothing)) for place in places],
    )


def _ngrams(table: WordTable, words: Numbers, lengths: Numbers) -> Tensor | None:
    if table.ngrams is None:
        return None
    return torch.from_numpy(spread(table.ngrams.padded(words).astype(np.int64), lengths))
