"""What a model reads of a text: the ids of its pieces, or of its words with their characters' n-grams.

Either way a text is a row of numbers into a table that says what each stands for, so that a word is spelled once,
however often it occurs; the symbols around a text, of which the first stands for the whole, are the table's, too.
Knows neither labels nor files.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from clearhead.data.ragged import Ragged
from clearhead.symbols import HOUSE
from clearhead.text.dropout import SubwordSampler
from clearhead.text.running_words import running_words
from clearhead.text.tokenizer import SPECIAL_PIECES, START, Tokenizer
from clearhead.text.words import WordVocabulary

Rows = list[list[int]]


class TextTable(NamedTuple):
    """For each number the id that the model reads, and the ``ngrams`` with it, where such are read.

    ``before`` and ``after`` are the numbers of what stands around every text.
    """

    ids: NDArray[np.integer]
    ngrams: Ragged | None
    before: tuple[int, ...]
    after: tuple[int, ...] = ()


class Numbering(Protocol):
    """Texts met so far, as numbers."""

    def rows(self, texts: Sequence[str]) -> Rows:
        """Each text as numbers, without the symbols around it."""

    def table(self) -> TextTable:
        """What all numbers given so far stand for."""


class TextReader(Protocol):
    """From texts to numbers."""

    @property
    def fingerprint(self) -> str:
        """sha256 of all that decides the numbers."""

    @property
    def size(self) -> int:
        """How many different ids there are."""

    @property
    def buckets(self) -> int:
        """How many different n-grams there are, 0 for none."""

    @property
    def around(self) -> int:
        """How many symbols stand around every text."""

    def begin(self) -> Numbering:
        """A numbering of texts that nothing was asked of yet."""

    def shown(self, text: str, room: int) -> list[str]:
        """What stands at each position of the text and around it, to be looked at; of the text, ``room`` positions."""

    def sampler(self, dropout: float, seed: int) -> SubwordSampler | None:
        """A source of random segmentations; None where there is only one."""


class PieceReader:
    """Texts as a tokenizer cuts them; a number is the id of a piece."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.fingerprint = tokenizer.fingerprint
        self.size = tokenizer.size
        self.buckets = 0
        symbols = tokenizer.symbols
        # Our own tokenizers have no symbol for a whole text; the start symbol serves.
        self._before, self._after = ((START,), ()) if symbols == HOUSE else (symbols.before, symbols.after)
        self.around = len(self._before) + len(self._after)

    def begin(self) -> Numbering:
        """There is nothing to remember."""
        return self

    def rows(self, texts: Sequence[str]) -> Rows:
        """See ``Numbering``."""
        return self.tokenizer.encode(texts)

    def table(self) -> TextTable:
        """Every id stands for itself."""
        return TextTable(np.arange(self.size, dtype=np.int32), None, self._before, self._after)

    def shown(self, text: str, room: int) -> list[str]:
        """Its pieces."""
        return self.tokenizer.pieces([*self._before, *self.tokenizer.encode([text])[0][:room], *self._after])

    def sampler(self, dropout: float, seed: int) -> SubwordSampler | None:
        """See ``TextReader``."""
        return self.tokenizer.sampler(dropout, seed)


class WholeWordReader:
    """Texts as words of ``vocabulary``, each with its n-grams; words are numbered as they are met."""

    def __init__(self, vocabulary: WordVocabulary) -> None:
        self.vocabulary = vocabulary
        self.fingerprint = vocabulary.fingerprint
        self.size = vocabulary.size
        self.buckets = vocabulary.settings.buckets
        self.around = 1

    def begin(self) -> Numbering:
        """Numbers from 1; 0 is the start symbol."""
        return _WordNumbers(self.vocabulary)

    def shown(self, text: str, room: int) -> list[str]:
        """Its words."""
        return [SPECIAL_PIECES[START], *running_words(text)[:room]]

    def sampler(self, dropout: float, seed: int) -> SubwordSampler | None:
        """A word is what it is."""
        return None


class _WordNumbers:
    def __init__(self, vocabulary: WordVocabulary) -> None:
        self._vocabulary = vocabulary
        self._numbers: dict[str, int] = {}

    def rows(self, texts: Sequence[str]) -> Rows:
        numbers = self._numbers
        return [[numbers.setdefault(word, len(numbers) + 1) for word in running_words(text)] for text in texts]

    def table(self) -> TextTable:
        words, vocabulary = list(self._numbers), self._vocabulary
        ids = np.array([START, *(vocabulary.id(word) for word in words)], dtype=np.int32)
        if not vocabulary.settings.buckets:
            return TextTable(ids, None, (0,))
        return TextTable(ids, Ragged.of([(), *(vocabulary.ngrams(word) for word in words)]), (0,))
