"""Tagged sentences from a file of two columns: a token, a tab, its tag; a blank line ends a sentence.

There are no comments and there is no quoting: ``#`` and ``"`` are tokens like any other, and a token may hold spaces.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clearhead.data.ledger import Ledger
from clearhead.data.lines import Line
from clearhead.data.tag_settings import TagColumn
from clearhead.data.tagged_sentence import Fault, TaggedSentence, Token, read_blocks, sentence_of

NOT_TWO = "not two columns"
EMPTY = "an empty token or tag"


def read_columns(path: Path, column: TagColumn, ledger: Ledger) -> Iterator[TaggedSentence]:
    """The sentences of ``path``; there is only one column of tags, so ``column`` says nothing. See ``read_tagged``."""
    for block in read_blocks(path, ledger):
        tokens, fault = _tokens(block)
        if (sentence := sentence_of(tokens, fault, block[0].number, path, ledger)) is not None:
            yield sentence


def _tokens(block: list[Line]) -> tuple[list[Token], Fault | None]:
    tokens = []
    for line in block:
        if line.problem:
            return [], Fault(line.number, line.problem, line.detail)
        fields = line.text.split("\t")
        if len(fields) != 2:
            return [], Fault(line.number, NOT_TWO, f"expected token, tab, tag; got {_got(fields)}")
        if not (fields[0].strip() and fields[1].strip()):
            return [], Fault(line.number, EMPTY, f"expected token, tab, tag; got {line.text!r}")
        tokens.append(Token(*fields))
    return tokens, None


def _got(fields: list[str]) -> str:
    if len(fields) > 1:
        return f"{len(fields)} columns"
    return "no tab; are there spaces instead?" if " " in fields[0] else "no tab"
