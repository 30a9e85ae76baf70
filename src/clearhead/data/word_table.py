"""What a model reads of each distinct word of some sentences: its pieces, or its entry and its characters' n-grams.

A word is read once, however often it occurs. Whole words are one piece each, so both kinds are the same table. What a
vocabulary from elsewhere puts around every sentence are two more rows of it, which belong to no word. Knows neither
sentences nor tags.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from clearhead.data.ragged import Ragged
from clearhead.symbols import HOUSE
from clearhead.text.tokenizer import UNKNOWN, Tokenizer
from clearhead.text.words import WordVocabulary


class WordTable(NamedTuple):
    """For each word its ``pieces`` and ``ngrams``, where such are read. ``pooled``: pieces are to be made one again.

    ``around``: the last two rows are no words, but what stands before and after every sentence.
    """

    pieces: Ragged
    ngrams: Ragged | None
    pooled: bool
    around: bool = False

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

    @property
    def around(self) -> int:
        """How many positions of every sentence are no word's."""

    def table(self, words: Sequence[str], longest: int) -> WordTable:
        """A row a word; of a word of more than ``longest`` pieces only the first ones are read."""

    def known(self, word: str) -> bool:
        """Whether the word is read without anything unknown in it."""

    def shown(self, words: Sequence[str]) -> list[str]:
        """What stands at each position of a sentence of these words, to be looked at."""


class WholeWordReader:
    """A word is one piece: its entry of ``vocabulary``."""

    def __init__(self, vocabulary: WordVocabulary) -> None:
        self.vocabulary = vocabulary
        self.fingerprint = vocabulary.fingerprint
        self.size = vocabulary.size
        self.buckets = vocabulary.settings.buckets
        self.around = 0

    def table(self, words: Sequence[str], longest: int) -> WordTable:
        """See ``WordReader``; one piece is never too many."""
        pieces = Ragged.of([(self.vocabulary.id(word),) for word in words])
        ngrams = Ragged.of([self.vocabulary.ngrams(word) for word in words]) if self.buckets else None
        return WordTable(pieces, ngrams, pooled=False)

    def known(self, word: str) -> bool:
        """Whether it has an entry."""
        return self.vocabulary.id(word) != UNKNOWN

    def shown(self, words: Sequence[str]) -> list[str]:
        """The words."""
        return list(words)


class PieceReader:
    """A word is cut into pieces by ``tokenizer``, each word by itself."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.fingerprint = tokenizer.fingerprint
        self.size = tokenizer.size
        self.buckets = 0
        symbols = tokenizer.symbols
        self._unknown = UNKNOWN if symbols.unknown is None else symbols.unknown
        # Our own tokenizers surround a text that is read to be translated, and no sentence of words.
        self._ends = ((), ()) if symbols == HOUSE else (symbols.before, symbols.after)
        self.around = sum(map(len, self._ends))
        self._lead = "" if symbols == HOUSE or _cuts_words_alike(tokenizer) else " "

    def table(self, words: Sequence[str], longest: int) -> WordTable:
        """See ``WordReader``; a word that is cut into nothing is unknown."""
        rows = [row[:longest] or [self._unknown] for row in self._cut(words)]
        ends = [list(end) for end in self._ends] if self.around else []
        return WordTable(Ragged.of(rows + ends), None, pooled=True, around=bool(ends))

    def known(self, word: str) -> bool:
        """Whether every character of it is in some piece."""
        return self._unknown not in self._cut([word])[0]

    def shown(self, words: Sequence[str]) -> list[str]:
        """Their pieces, and what stands around them."""
        inside = [number for ids in self._cut(words) for number in ids or [self._unknown]]
        return self.tokenizer.pieces([*self._ends[0], *inside, *self._ends[1]])

    def _cut(self, words: Sequence[str]) -> list[list[int]]:
        return self.tokenizer.encode([self._lead + word for word in words])


def _cuts_words_alike(tokenizer: Tokenizer) -> bool:
    """Whether a word by itself is cut as in a text; byte-level pieces take the space before a word for a part of it."""
    whole, first, second = tokenizer.encode(["an an", "an", "an"])
    return whole == first + second
