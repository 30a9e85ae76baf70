"""What a model reads of each distinct word of some sentences: its pieces, or its entry and its characters' n-grams.

A word is read once, however often it occurs. Whole words are one piece each, so both kinds are the same table. Knows
neither sentences nor tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from clearhead.data.ragged import Ragged
from clearhead.text.tokenizer import UNKNOWN, Tokenizer
from clearhead.text.words import WordVocabulary


class WordTable(NamedTuple):
    """For each word its ``pieces`` and ``ngrams``, where such are read. ``pooled``: pieces are to be made one again."""

    pieces: Ragged
    ngrams: Ragged | None
    pooled: bool

    def positions(self, words: NDArray[np.integer]) -> NDArray[np.int64]:
        """How many positions of a model these words take."""
        return self.pieces.lengths(words)


class WordReader(Protocol):
    """From words to numbers."""

    @property
    def fingerprint(self) -> str:
        """sha256 of all that decides the numbers."""

    @property
    def size(self) -> int:
        """How many different pieces there are."""

    @property
    def buckets(self) -> int:
        """How many different n-grams there are, 0 for none."""

    def table(self, words: Sequence[str], longest: int) -> WordTable:
        """A row a word; of a word of more than ``longest`` pieces only the first ones are read."""

    def known(self, word: str) -> bool:
        """Whether the word is read without anything unknown in it."""

    def shown(self, word: str) -> list[str]:
        """What stands for the word at each of its positions, to be looked at."""


class WholeWordReader:
    """A word is one piece: its entry of ``vocabulary``."""

    def __init__(self, vocabulary: WordVocabulary) -> None:
        self.vocabulary = vocabulary
        self.fingerprint = vocabulary.fingerprint
        self.size = vocabulary.size
        self.buckets = vocabulary.settings.buckets

    def table(self, words: Sequence[str], longest: int) -> WordTable:
        """See ``WordReader``; one piece is never too many."""
        pieces = Ragged.of([(self.vocabulary.id(word),) for word in words])
        ngrams = Ragged.of([self.vocabulary.ngrams(word) for word in words]) if self.buckets else None
        return WordTable(pieces, ngrams, pooled=False)

    def known(self, word: str) -> bool:
        """Whether it has an entry."""
        return self.vocabulary.id(word) != UNKNOWN

    def shown(self, word: str) -> list[str]:
        """The word."""
        return [word]


class PieceReader:
    """A word is cut into pieces by ``tokenizer``, each word by itself."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.fingerprint = tokenizer.fingerprint
        self.size = tokenizer.size
        self.buckets = 0

    def table(self, words: Sequence[str], longest: int) -> WordTable:
        """See ``WordReader``; a word that is cut into nothing is unknown."""
        rows = [row[:longest] or [UNKNOWN] for row in self.tokenizer.encode(words)]
        return WordTable(Ragged.of(rows), None, pooled=True)

    def known(self, word: str) -> bool:
        """Whether every character of it is in some piece."""
        return UNKNOWN not in self.tokenizer.encode([word])[0]

    def shown(self, word: str) -> list[str]:
        """Its pieces."""
        ids = self.tokenizer.encode([word])[0]
        return self.tokenizer.pieces(ids or [UNKNOWN])
