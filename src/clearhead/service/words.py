"""Pieces as the words they are cut from: which word each piece belongs to, and what the words are.

A word begins where a piece is marked with the space in front of it, ``▁``, as every tokenizer here shows it, byte-level
ones too (``Ġ`` is a letter of Maltese); the first piece begins one in any case, and special pieces belong to none.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from clearhead.text.tokenizer import SPECIAL_PIECES

MARK = "▁"
NONE = -1


@dataclass(frozen=True, slots=True)
class Words:
    """``numbers`` has one entry a piece, the number of its word or −1; ``texts`` one a word."""

    numbers: tuple[int, ...]
    texts: tuple[str, ...]


def words_of(pieces: Sequence[str], special: Collection[str] = SPECIAL_PIECES) -> Words:
    """The words that ``pieces`` make up."""
    numbers: list[int] = []
    texts: list[str] = []
    for piece in pieces:
        if piece in special:
            numbers.append(NONE)
            continue
        begins = piece.startswith(MARK)
        bare = piece[1:] if begins else piece
        if begins or not texts:
            texts.append(bare)
        else:
            texts[-1] += bare
        numbers.append(len(texts) - 1)
    return Words(tuple(numbers), tuple(texts))
