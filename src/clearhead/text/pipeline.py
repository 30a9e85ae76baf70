"""From text to the words a tokenizer cuts up, and from its pieces back to the same text.

A space becomes the mark ``▁`` (U+2581) and one mark is put in front of every line, so that a word looks the same
wherever it stands (as in SentencePiece, Kudo & Richardson 2018, arXiv 1808.06226) and a long text can be cut line by
line. Two characters that occur in text almost never would make this ambiguous: a typed ``▁`` and the escape character
itself (U+0010, data link escape). Both are escaped, which makes the way back exact for every text. Characters and
bytes need no marks. This file does not know how words are cut.
"""

from __future__ import annotations

from tokenizers import Regex, decoders, normalizers, pre_tokenizers

from clearhead.text.settings import Kind

MARK = "▁"
UNKNOWN_SIGN = "⁇"
_ESCAPE = "\x10"
_ESCAPED_ESCAPE = _ESCAPE + "0"
_ESCAPED_MARK = _ESCAPE + "1"

# Words, single digits, and runs of anything else are cut apart, each with the mark in front of it. The bound of 64
# keeps the cost of one "word" small when somebody feeds a megabyte without a space; it cuts, it never drops.
_SUBWORDS = rf"{MARK}?[\p{{L}}\p{{M}}]{{1,64}}|{MARK}?\p{{N}}|{MARK}?[^\p{{L}}\p{{M}}\p{{N}}{MARK}]{{1,64}}|{MARK}"
_WORDS = rf"{MARK}?[\p{{L}}\p{{M}}\p{{N}}]+|{MARK}?[^\p{{L}}\p{{M}}\p{{N}}{MARK}]|{MARK}"
_CHARACTERS = r"[\s\S]"
_PATTERNS: dict[Kind, str] = {
    "bpe": _SUBWORDS,
    "unigram": _SUBWORDS,
    "words": _WORDS,
    "characters": _CHARACTERS,
    "bytes": _CHARACTERS,
}
_UNMARKED = ("characters", "bytes")
# The end of a line after which another begins; at the very end of a text there is no line to mark.
_BETWEEN_LINES = r"\n(?=[\s\S])"


def normalizer(kind: Kind, lowercase: bool) -> normalizers.Sequence:
    """The steps before cutting: lower case when asked for, then marks for spaces (not for characters and bytes)."""
    lower = [normalizers.Lowercase()] if lowercase else []
    marks = [
        normalizers.Replace(_ESCAPE, _ESCAPED_ESCAPE),
        normalizers.Replace(MARK, _ESCAPED_MARK),
        normalizers.Prepend(MARK),
        normalizers.Replace(Regex(_BETWEEN_LINES), "\n" + MARK),
        normalizers.Replace(" ", MARK),
    ]
    return normalizers.Sequence(lower if kind in _UNMARKED else lower + marks)


def pre_tokenizer(kind: Kind) -> pre_tokenizers.Split:
    """Cuts marked text into words that no piece crosses; nothing is dropped."""
    return pre_tokenizers.Split(Regex(_PATTERNS[kind]), "isolated")


def decoder(kind: Kind, unknown: str) -> decoders.Sequence:
    """The way back: bytes to characters, marks to spaces, escapes undone; the piece ``unknown`` is shown as ``⁇``."""
    if kind == "characters":
        return decoders.Sequence([decoders.Replace(unknown, UNKNOWN_SIGN), decoders.Fuse()])
    if kind == "bytes":
        return decoders.Sequence([decoders.Replace(unknown, UNKNOWN_SIGN), decoders.ByteFallback(), decoders.Fuse()])
    sign = MARK + UNKNOWN_SIGN if kind == "words" else UNKNOWN_SIGN
    return decoders.Sequence(
        [
            decoders.Replace(unknown, sign),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Replace("\n" + MARK, "\n"),
            decoders.Replace(MARK, " "),
            decoders.Replace(_ESCAPED_MARK, MARK),
            decoders.Replace(_ESCAPED_ESCAPE, _ESCAPE),
            decoders.Strip(" ", 1, 0),
        ]
    )
