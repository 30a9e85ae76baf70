"""A tokenizer that came with a model from elsewhere, behind the same face as the house's own.

It cuts text as the library it came from does, special pieces that are written out in the text included; numbers of
special pieces and of the whole vocabulary are the model's. Marian's two steps are one step more: pieces of a
SentencePiece model, then numbers of a vocabulary of their own. It is kept as one JSON file and knows no model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from pydantic import ValidationError

from clearhead.errors import ConfigurationError, RunError
from clearhead.strict_json import read_json
from clearhead.symbols import Symbols
from clearhead.text.dropout import SubwordSampler
from clearhead.text.tokenizer import Tokenizer, not_text

FORMAT = "clearhead-foreign-tokenizer"
LARGEST = 256 << 20  # bytes of the file
MARK = "▁"
LANGUAGE = (">>", "<<")  # what Marian's models for several languages have around a target language, before the text


class ForeignTokenizer(Tokenizer):
    """``backend`` cuts text; ``symbols`` are the model's; ids lie below ``size``, the rows of its embedding."""

    cuts_by_line = False  # some put a space in front of whatever they are given, some join line ends with what follows

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        symbols: Symbols,
        size: int,
        numbers: Mapping[str, int] | None = None,
        table: Mapping[str, Any] | None = None,
    ) -> None:
        """``numbers``: of the pieces, where the model does not count as ``backend`` does.

        ``table``: what ``backend`` was read from, where it was; written again it may differ in a score's last digit.

        Raises:
            ConfigurationError: a piece or a special symbol has a number that the vocabulary has no room for.
        """
        backend.encode_special_tokens = False
        backend.no_truncation()
        backend.no_padding()
        self._backend = backend
        self.symbols = symbols
        self.size = size
        self._numbers = dict(numbers) if numbers else None
        self._pieces = {number: piece for piece, number in (numbers or backend.get_vocab(True)).items()}
        self._table = json.loads(backend.to_str()) if table is None else table
        self._byte_level = '"ByteLevel"' in json.dumps(self._table.get("decoder"))
        self._added = {str(token.content) for token in backend.get_added_tokens_decoder().values()}
        largest = max(symbols.largest, *self._pieces, 0)
        if largest >= size or min(self._pieces, default=0) < 0:
            raise ConfigurationError(
                f"the tokenizer has a piece of number {largest}, but the model's vocabulary ends at {size - 1}: "
                "do the two belong together?"
            )

    @property
    def fingerprint(self) -> str:
        """sha256 of all that decides how this tokenizer cuts."""
        return hashlib.sha256(self._text().encode()).hexdigest()

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The readable piece of each id, ``▁`` marking a space in front; ``<9>`` for a number without a piece."""
        self._refuse_outsiders(ids)
        return [self._readable(self._pieces.get(int(index), f"<{int(index)}>")) for index in ids]

    def encode(self, texts: Sequence[str], *, dropout: float = 0.0, seed: int = 0) -> list[list[int]]:
        """Token ids of each text, without what surrounds a text.

        Raises:
            DataError: a text is no text, or holds a lone surrogate.
            ConfigurationError: ``dropout`` is asked for, which foreign tokenizers do not have.
        """
        if dropout:
            self.sampler(dropout, seed)
        try:
            if self._numbers is not None:
                return [self._numbered(text, self._numbers) for text in texts]
            return [encoding.ids for encoding in self._backend.encode_batch_fast(texts, add_special_tokens=False)]
        except (TypeError, AttributeError, UnicodeEncodeError) as error:
            raise not_text(texts) from error

    def sampler(self, dropout: float, seed: int) -> SubwordSampler:
        """Random segmentations are the house's own tokenizers' alone.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError("subword dropout needs a tokenizer that was learnt here; leave subword_dropout at 0")

    def decode(self, rows: Sequence[Sequence[int]]) -> list[str]:
        """The text of each row of ids; silent symbols and numbers without a piece vanish.

        Raises:
            ConfigurationError: an id is not in the vocabulary.
        """
        silent = set(self.symbols.silent)
        for row in rows:
            self._refuse_outsiders(row)
        kept = [[int(index) for index in row if index not in silent and int(index) in self._pieces] for row in rows]
        if self._numbers is not None:
            return ["".join(self._pieces[index] for index in row).replace(MARK, " ").strip() for row in kept]
        return self._backend.decode_batch(kept, skip_special_tokens=False)

    def save(self, path: Path) -> None:
        """Write it as JSON; the same tokenizer always gives the same bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self._text(), encoding="utf-8", newline="\n")

    @classmethod
    def load(cls, path: Path) -> ForeignTokenizer:
        """Read what ``save`` wrote.

        Raises:
            RunError: the file is missing, broken, or not a tokenizer of this kind; the message names it.
        """
        table = read_json(path, max_bytes=LARGEST)
        if table.get("format") != FORMAT or not isinstance(table.get("tokenizer"), dict):
            raise RunError(f"{path} is not a readable tokenizer file: expected the format {FORMAT!r}")
        numbers = table.get("numbers")
        try:
            symbols = Symbols.model_validate(table.get("symbols"))
            backend = backend_of(table["tokenizer"], str(path))
            if numbers is not None and not _whole_numbers(numbers):
                raise ConfigurationError("its numbers should be whole numbers by piece")
            return cls(backend, symbols, int(table.get("size", 0)), numbers, table["tokenizer"])
        except (ValidationError, ConfigurationError, TypeError, ValueError) as error:
            raise RunError(f"{path} is not a readable tokenizer file: {' '.join(str(error).split())}") from None

    def _text(self) -> str:
        table = {
            "format": FORMAT,
            "size": self.size,
            "symbols": self.symbols.model_dump(),
            "numbers": self._numbers,
            "tokenizer": self._table,
        }
        return json.dumps(table, ensure_ascii=False, indent=1) + "\n"

    def _readable(self, piece: str) -> str:
        """A byte-level piece shows its characters, with the house's mark for a space."""
        if not self._byte_level or piece in self._added:
            return piece
        number = self._backend.token_to_id(piece)
        return piece if number is None else self._backend.decode([number], skip_special_tokens=False).replace(" ", MARK)

    def _numbered(self, text: str, numbers: Mapping[str, int]) -> list[int]:
        """Pieces of the backend by the model's own numbers; a language in front of the text is one piece."""
        opened, closed = LANGUAGE
        language = []
        if text.startswith(opened) and (end := text.find(closed)) != -1:
            language, text = [text[: end + len(closed)]], text[end + len(closed) :]
        unknown = self.symbols.unknown or 0
        pieces = self._backend.encode(text, add_special_tokens=False).tokens
        return [numbers.get(piece, unknown) for piece in (*language, *pieces)]


def _whole_numbers(table: Any) -> bool:
    return isinstance(table, dict) and all(type(number) is int and number >= 0 for number in table.values())


def backend_of(table: Mapping[str, Any], where: str) -> tokenizers.Tokenizer:
    """The library's tokenizer from the parsed contents of a ``tokenizer.json``, tried out once.

    Raises:
        RunError: the library refuses it, or panics; ``where`` opens the sentence.
    """
    try:
        backend = tokenizers.Tokenizer.from_str(json.dumps(table))
        backend.no_truncation()
        backend.no_padding()
        backend.decode(backend.encode("Ab 1.", add_special_tokens=True).ids)
    except BaseException as error:  # a panic inside the library is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise RunError(f"{where} is not a readable tokenizer file: {' '.join(str(error).split())[:300]}") from None
    return backend


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer of a run, the house's own or a foreign one, by what the file says.

    Raises:
        RunError: the file is missing or broken; the message names it.
    """
    try:
        with path.open("rb") as file:
            foreign = FORMAT.encode() in file.read(200)
    except OSError:
        foreign = False  # the house's own reader says what is wrong
    return ForeignTokenizer.load(path) if foreign else Tokenizer.load(path)
