"""Words as numbers: a vocabulary of whole words, and the hashed n-grams of their characters.

Id 0 is padding and 1 is unknown, as in every vocabulary here; 2 and 3 stay unused, so that a word has the id it would
have beside the special pieces of a tokenizer. Knows no sentences and no tensors.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from zlib import crc32

from clearhead.errors import RunError
from clearhead.text.settings import SPECIALS
from clearhead.text.tokenizer import UNKNOWN
from clearhead.text.word_settings import WordInput

OPEN, CLOSE = "\x02", "\x03"  # start and end of text, which stand in no word
KEPT = 16  # characters of each end that n-grams see of a longer word: addresses would outweigh all else
_REMEMBERED = 1 << 18


class WordVocabulary:
    """The words that have an entry, most frequent first, and the n-grams of any word."""

    def __init__(self, words: Sequence[str], settings: WordInput) -> None:
        """``words``: without repetition, in lower case where ``settings`` say so."""
        self.settings = settings
        self.words = tuple(words)
        self._ids = {word: number for number, word in enumerate(self.words, start=SPECIALS)}
        self.ngrams = lru_cache(_REMEMBERED)(self._ngrams)

    @classmethod
    def learn(cls, words: Iterable[str], settings: WordInput) -> WordVocabulary:
        """The vocabulary of the ``words`` of a training set, repetitions included; ties go by alphabet."""
        counts = Counter(word.lower() if settings.lowercase else word for word in words)
        kept = [word for word, count in counts.items() if count >= settings.min_frequency]
        kept.sort(key=lambda word: (-counts[word], word))
        return cls(kept[: settings.vocabulary], settings)

    @property
    def size(self) -> int:
        """Rows of the embedding: the words and the special entries."""
        return SPECIALS + len(self.words)

    @property
    def fingerprint(self) -> str:
        """sha256 of all that decides which numbers a word gets."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def id(self, word: str) -> int:
        """The entry of ``word``, or that of unknown words."""
        return self._ids.get(word.lower() if self.settings.lowercase else word, UNKNOWN)

    def _ngrams(self, word: str) -> tuple[int, ...]:
        """The buckets, from 1, of the n-grams of ``word``; none without buckets."""
        if not self.settings.buckets:
            return ()
        grams = character_ngrams(word, self.settings.shortest, self.settings.longest)
        return tuple(1 + crc32(gram.encode("utf-8", "surrogatepass")) % (self.settings.buckets - 1) for gram in grams)

    def save(self, path: Path) -> None:
        """Write it as JSON; the same vocabulary always gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._text(), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: Path) -> WordVocabulary:
        """Read what ``save`` wrote.

        Raises:
            RunError: the file is missing or broken; the message names it.
        """
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            words, settings = table["words"], WordInput.model_validate(table["settings"])
        except FileNotFoundError as error:
            raise RunError(f"there is no vocabulary file {path}") from error
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise RunError(f"{path} is not a readable vocabulary file: {error}") from error
        if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
            raise RunError(f"{path} is not a readable vocabulary file: expected 'words' to be a list of strings")
        if len(set(words)) != len(words):
            raise RunError(f"{path} is not a readable vocabulary file: a word stands in it twice")
        return cls(words, settings)

    def _text(self) -> str:
        table = {"settings": self.settings.model_dump(), "words": self.words}
        return json.dumps(table, ensure_ascii=False, indent=0) + "\n"


def character_ngrams(word: str, shortest: int, longest: int) -> list[str]:
    """Every run of ``shortest`` to ``longest`` characters of ``word`` with its ends marked, repetitions included.

    A word in capitals shares no n-gram with its lower-case form, which says what the capitals mean; so where the two
    differ, the n-grams of the lower-case form follow, from two characters on, marked as such. Of a word of more than 32
    characters only the first and last 16 count.

    >>> character_ngrams("of", 2, 3)
    ['\\x02o', 'of', 'f\\x03', '\\x02of', 'of\\x03']
    """
    if len(word) > 2 * KEPT:
        word = word[:KEPT] + word[-KEPT:]
    plain = f"{OPEN}{word}{CLOSE}"
    grams = _runs(plain, shortest, longest)
    if (lower := plain.lower()) != plain:
        grams += [CLOSE + gram for gram in _runs(lower, max(2, shortest), longest)]
    return grams


def _runs(text: str, shortest: int, longest: int) -> list[str]:
    return [
        text[start : start + size]
        for size in range(shortest, longest + 1)
        for start in range(max(0, len(text) - size + 1))
    ]
