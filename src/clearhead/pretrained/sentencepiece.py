"""A SentencePiece model read from its bytes, and as a tokenizer of the library ``tokenizers`` that cuts the same way.

The file is one protobuf message (sentencepiece_model.proto of https://github.com/google/sentencepiece): pieces with
scores, how it was trained, how text is normalised. Few fields of it decide how text is cut, so they are read here
without a library. Unigram (Kudo 2018, arXiv 1804.10959) and BPE with scores (Sennrich et al. 2016, arXiv 1508.07909)
are known; the other two kinds are refused. It knows no family of models.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers

from clearhead.errors import RunError

MARK = "▁"
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
UNIGRAM, BPE = 1, 2
_HIDDEN = "\0"  # in front of what text is never cut into: no normalised text holds it

Field = tuple[int, int | bytes]


@dataclass(frozen=True, slots=True)
class Piece:
    """One entry of the vocabulary."""

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SentencePiece:
    """What decides how such a model cuts text. ``unknown`` is the number of the unknown piece."""

    pieces: tuple[Piece, ...]
    kind: int
    byte_fallback: bool
    charsmap: bytes
    prefix: bool
    collapse: bool
    unknown: int

    @classmethod
    def parse(cls, content: bytes, where: str) -> SentencePiece:
        """The model in ``content``; ``where`` opens the sentence of an error.

        Raises:
            RunError: this is no such model, or one of a kind that is not known.
        """
        try:
            return _parsed(content)
        except (ValueError, IndexError, struct.error, UnicodeDecodeError) as error:
            raise RunError(f"{where} is not a readable SentencePiece model: {error}") from None

    def backend(self) -> Tokenizer:
        """A tokenizer with the same pieces under the same numbers.

        What controls is special to the library, so that it is found where it is written out and nowhere else.
        """
        tokenizer = Tokenizer(self._bpe() if self.kind == BPE else self._unigram())
        of_kind = {kind: [piece.text for piece in self.pieces if piece.kind == kind] for kind in range(1, BYTE + 1)}
        special = [AddedToken(text, normalized=False) for kind in (UNKNOWN, CONTROL) for text in of_kind[kind]]
        tokenizer.add_special_tokens(special)
        tokenizer.add_tokens([AddedToken(text, normalized=False) for text in of_kind[USER_DEFINED]])
        steps: list[normalizers.Normalizer] = [normalizers.Precompiled(self.charsmap)] if self.charsmap else []
        if self.collapse:
            steps += [normalizers.Replace(Regex(" {2,}"), " "), normalizers.Strip()]
        steps += [normalizers.Prepend(MARK)] if self.prefix else []
        tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", MARK)])
        back = [decoders.Replace(MARK, " "), decoders.ByteFallback(), decoders.Fuse()]
        tokenizer.decoder = decoders.Sequence([*back, decoders.Strip(" ", 1, 0)] if self.prefix else back)
        return tokenizer

    def _unigram(self) -> models.Unigram:
        lowest = min((piece.score for piece in self.pieces if piece.kind == NORMAL), default=0.0)
        rows = [
            (_HIDDEN + piece.text if piece.kind == UNUSED else piece.text, piece.score if _cuts(piece) else lowest)
            for piece in self.pieces
        ]
        return models.Unigram(rows, unk_id=self.unknown, byte_fallback=self.byte_fallback)

    def _bpe(self) -> models.BPE:
        """Merges are all pairs of pieces that make a piece; the one with the best score is made first."""
        numbers = {piece.text: number for number, piece in enumerate(self.pieces)}
        usual = {piece.text for piece in self.pieces if piece.kind == NORMAL}
        merges = [
            (piece.text[:cut], piece.text[cut:])
            for piece in sorted(self.pieces, key=lambda piece: -piece.score)
            if piece.kind == NORMAL
            for cut in range(1, len(piece.text))
            if piece.text[:cut] in usual and piece.text[cut:] in usual
        ]
        unknown = self.pieces[self.unknown].text
        return models.BPE(numbers, merges, unk_token=unknown, fuse_unk=True, byte_fallback=self.byte_fallback)


def _cuts(piece: Piece) -> bool:
    """Whether its own score says when text is cut into it."""
    return piece.kind in (NORMAL, BYTE, USER_DEFINED)


def _parsed(content: bytes) -> SentencePiece:
    parts: dict[int, list[bytes]] = {1: [], 2: [], 3: []}
    for number, value in fields(content):
        if number in parts and isinstance(value, bytes):
            parts[number].append(value)
    pieces = tuple(_piece(each) for each in parts[1])
    trained, normal = (dict(fields(b"".join(parts[number]))) for number in (2, 3))
    kind = _whole(trained.get(3, UNIGRAM))
    if kind not in (UNIGRAM, BPE):
        raise ValueError(f"its kind is number {kind}, expected {UNIGRAM} (unigram) or {BPE} (BPE)")
    if _whole(trained.get(24, 0)):
        raise ValueError("it marks words at their end, expected at their beginning")
    unknown = [number for number, piece in enumerate(pieces) if piece.kind == UNKNOWN]
    if len(unknown) != 1 or len({piece.text for piece in pieces}) < len(pieces):
        raise ValueError("its pieces should be different from each other, and one of them the unknown one")
    charsmap = normal.get(2, b"")
    return SentencePiece(
        pieces=pieces,
        kind=kind,
        byte_fallback=bool(trained.get(35, 0)),
        charsmap=charsmap if isinstance(charsmap, bytes) else b"",
        prefix=bool(normal.get(3, 1)),
        collapse=bool(normal.get(4, 1)),
        unknown=unknown[0],
    )


def _piece(content: bytes) -> Piece:
    table = dict(fields(content))
    text, score = table.get(1, b""), table.get(2, bytes(4))
    if not isinstance(text, bytes) or not isinstance(score, bytes) or len(score) != 4:
        raise ValueError("a piece should have a text and a score")
    (number,) = struct.unpack("<f", score)
    if not -1e9 < number < 1e9:
        raise ValueError(f"a piece has the score {number}")
    return Piece(text.decode(), number, _whole(table.get(3, NORMAL)))


def _whole(value: int | bytes) -> int:
    if not isinstance(value, int):
        raise ValueError("a field that should be a number is none")
    return value


def fields(content: bytes) -> Iterator[Field]:
    """The fields of a protobuf message, by number: whole numbers, and everything else as its bytes."""
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, place = _varint(content, place)
            yield number, value
            continue
        size, place = (_varint(content, place)) if wire == 2 else ({1: 8, 5: 4}.get(wire, -1), place)
        if size < 0 or place + size > len(content):
            raise ValueError(f"field {number} at byte {place} is cut short or of no known type")
        yield number, content[place : place + size]
        place += size


def _varint(content: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        byte = content[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError(f"a number at byte {place} has no end")
