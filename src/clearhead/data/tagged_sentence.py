"""A tagged sentence, and how the lines between two blank ones become one: for every format with a word a line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from clearhead.data.ledger import Ledger
from clearhead.data.lines import Line, read_lines

OUTSIDE = "O"
PREFIXES = ("B", "I", "E", "S")
SPAN_TAGS = f"{OUTSIDE}, or one of {', '.join(PREFIXES)} alone or with - and a type"
SPACES = "a blank line with spaces in it, taken as the end of a sentence"


class TaggedSentence(NamedTuple):
    """``words`` and their ``tags``, as many of the one as of the other; ``line``: where it begins in its file."""

    words: tuple[str, ...]
    tags: tuple[str, ...]
    line: int


def marks_spans(tag: str) -> bool:
    """Whether ``tag`` can stand in a scheme of spans such as BIO: see ``SPAN_TAGS``."""
    return tag == OUTSIDE or tag in PREFIXES or (tag[:1] in PREFIXES and tag[1:2] == "-" and len(tag) > 2)


class Fault(NamedTuple):
    """Why a line cannot be read."""

    line: int
    reason: str
    detail: str = ""


class Token(NamedTuple):
    """A word and its tag."""

    word: str
    tag: str


def read_blocks(path: Path, ledger: Ledger) -> Iterator[list[Line]]:
    """The lines between blank ones, never none."""
    block: list[Line] = []
    for line in read_lines(path, ledger):
        if line.problem or line.text.strip():
            block.append(line)
            continue
        if line.text:
            ledger.note(SPACES, path, line.number)
        if block:
            yield block
        block = []
    if block:
        yield block


def sentence_of(
    tokens: list[Token], fault: Fault | None, line: int, path: Path, ledger: Ledger
) -> TaggedSentence | None:
    """The sentence that ``tokens`` make, or none where there are none or there is a ``fault``; both are counted.

    Raises:
        DataError: there is a fault, and the ledger is strict.
    """
    if fault is None and not tokens:
        return None
    ledger.read += 1
    if fault is not None:
        ledger.bad(fault.reason, path, fault.line, fault.detail)
        return None
    return TaggedSentence(tuple(token.word for token in tokens), tuple(token.tag for token in tokens), line)
