"""Text to token ids and back, a thin house around a ``tokenizers.Tokenizer`` and its ``tokenizer.json``.

Four pieces are special: padding, unknown, start and end. They are never made from text, whatever the text says, and
the ids that ``encode`` gives carry none of them: who builds a batch puts them where they belong. This file does not
know how a vocabulary is learnt, and nothing of tensors.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import tokenizers

from clearhead.errors import ConfigurationError, DataError, RunError
from clearhead.symbols import HOUSE, Symbols
from clearhead.text.check import check_parts
from clearhead.text.dropout import SubwordSampler

# Threads inside the library would make a later fork (a data loader, a server) warn or hang, so they are an opt-in.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

PAD, UNKNOWN, START, END = 0, 1, 2, 3
SPECIAL_PIECES = ("<pad>", "<unk>", "<s>", "</s>")
_SILENT = frozenset({PAD, START, END})


class Tokenizer:
    """A learnt vocabulary and the rules that cut text with it."""

    PAD, UNKNOWN, START, END = PAD, UNKNOWN, START, END
    symbols: Symbols = HOUSE
    cuts_by_line: bool = True  # whether the pieces of a text are those of its lines, each with its line end, in turn

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        """``backend``: its entries are numbered without gaps, and the special ones, and no others, are the first four.

        Raises:
            ConfigurationError: it is otherwise.
        """
        self._backend = backend
        self._backend.encode_special_tokens = True
        self._backend.no_truncation()
        self._backend.no_padding()
        self.size: int = backend.get_vocab_size(with_added_tokens=True)
        _check_vocabulary(backend, self.size)

    @property
    def fingerprint(self) -> str:
        """sha256 of all that decides how this tokenizer cuts."""
        return hashlib.sha256(self._backend.to_str().encode()).hexdigest()

    def vocabulary(self) -> list[str]:
        """Every piece, in the order of its id."""
        return self.pieces(range(self.size))

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The readable piece of each id, ``▁`` marking a space in front (``▁Haus``)."""
        self._refuse_outsiders(ids)
        return [str(self._backend.id_to_token(int(index))) for index in ids]

    def encode(self, texts: Sequence[str], *, dropout: float = 0.0, seed: int = 0) -> list[list[int]]:
        """Token ids of each text, without special tokens.

        ``dropout`` above 0 leaves out that share of the merges at random (BPE-dropout), the same for the same seed.

        Raises:
            DataError: a text holds a lone surrogate, which is no character.
            ConfigurationError: ``dropout`` is asked of a tokenizer that has no merges.
        """
        if dropout:
            return self.sampler(dropout, seed).encode(texts)
        try:
            return [encoding.ids for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        except (TypeError, UnicodeEncodeError) as error:
            raise not_text(texts) from error

    def sampler(self, dropout: float, seed: int) -> SubwordSampler:
        """A source of random segmentations that remembers its words; faster than ``encode`` for many calls."""
        return SubwordSampler(self._backend, dropout, seed)

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids. Padding, start and end vanish; unknown shows as ``⁇``; broken bytes as U+FFFD.

        Raises:
            ConfigurationError: an id is not in the vocabulary.
        """
        plain = [[int(index) for index in row] for row in rows]
        for row in plain:
            self._refuse_outsiders(row)
        kept = [[index for index in row if index not in _SILENT] for row in plain]
        return self._backend.decode_batch(kept, skip_special_tokens=False)

    def save(self, path: Path) -> None:
        """Write ``tokenizer.json``; the same tokenizer always gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._backend.to_str(pretty=True), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: Path) -> Tokenizer:
        """Read what ``save`` wrote.

        Raises:
            RunError: the file is missing, broken, or not a tokenizer of this kind; the message names it.
        """
        try:
            text = path.read_text(encoding="utf-8")
            check_parts(json.loads(text))
            return cls(tokenizers.Tokenizer.from_str(text))
        except FileNotFoundError as error:
            raise RunError(f"there is no tokenizer file {path}") from error
        except BaseException as error:  # a panic inside the library is no Exception
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise RunError(f"{path} is not a readable tokenizer file: {error}") from error

    def _refuse_outsiders(self, ids: Sequence[int]) -> None:
        if len(ids) and (min(ids) < 0 or max(ids) >= self.size):
            wrong = min(ids) if min(ids) < 0 else max(ids)
            raise ConfigurationError(f"token id {wrong} is not in this vocabulary of {self.size} entries")


def _check_vocabulary(backend: tokenizers.Tokenizer, size: int) -> None:
    first = tuple(backend.id_to_token(index) for index in range(len(SPECIAL_PIECES)))
    special = tuple(
        str(token.content) for _, token in sorted(backend.get_added_tokens_decoder().items()) if token.special
    )
    if first != SPECIAL_PIECES or special != SPECIAL_PIECES or len(backend.get_added_tokens_decoder()) > len(special):
        raise ConfigurationError(
            f"a tokenizer's first entries, and only special ones, must be {' '.join(SPECIAL_PIECES)}, but the first "
            f"are {first} and the special ones {special}: it was probably not made by clearhead"
        )
    if set(backend.get_vocab(with_added_tokens=True).values()) != set(range(size)):
        raise ConfigurationError(
            f"the {size} entries of a vocabulary must be numbered from 0 to {size - 1} without gaps"
        )


def not_text(texts: Sequence[object]) -> DataError:
    """The error that says which of ``texts`` is no text."""
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            return DataError(f"text {number} of {len(texts)} should be a string, but it is {type(text).__name__}")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            return DataError(f"text {number} of {len(texts)} holds a lone surrogate, which is no character of Unicode")
    return DataError("these texts are not a list of strings")
