"""Tagged sentences from CoNLL-U, the format of Universal Dependencies (universaldependencies.org/format.html).

Ten columns with a tab between them, a word a line; ``#`` opens a comment; a blank line ends a sentence. The words are
the syntactic ones: a range such as ``8-9`` (a surface token of several words) and an empty node such as ``8.1`` are
passed over. A form may hold spaces. Of the annotation only one column is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from clearhead.data.ledger import Ledger
from clearhead.data.lines import Line
from clearhead.data.tag_settings import TagColumn
from clearhead.data.tagged_sentence import Fault, TaggedSentence, Token, read_blocks, sentence_of

COLUMNS = ("ID", "FORM", "LEMMA", "UPOS", "XPOS", "FEATS", "HEAD", "DEPREL", "DEPS", "MISC")
MISSING_COLUMN = "not ten columns"
WRONG_NUMBER = "a wrong word number"
NO_FORM = "a word without a form"
NO_TAG = "a word without a tag"
_ANNOTATED: dict[TagColumn, int] = {"upos": 3, "xpos": 4, "feats": 5}
_MAY_BE_NONE: frozenset[TagColumn] = frozenset({"feats"})  # there "_" says that a word has no features
_PASSED_OVER = re.compile(r"[0-9]+[-.][0-9]+")


def read_conllu(path: Path, column: TagColumn, ledger: Ledger) -> Iterator[TaggedSentence]:
    """The sentences of ``path``, tagged with ``column``. See ``read_tagged``."""
    for block in read_blocks(path, ledger):
        lines = [line for line in block if line.problem or not line.text.startswith("#")]
        tokens, fault = _tokens(lines, column)
        first = lines[0].number if lines else 0
        if (sentence := sentence_of(tokens, fault, first, path, ledger)) is not None:
            yield sentence


def _tokens(lines: list[Line], column: TagColumn) -> tuple[list[Token], Fault | None]:
    tokens: list[Token] = []
    for line in lines:
        if line.problem:
            return [], Fault(line.number, line.problem, line.detail)
        fields = line.text.split("\t")
        if len(fields) != len(COLUMNS):
            return [], Fault(line.number, MISSING_COLUMN, _columns(fields))
        if _PASSED_OVER.fullmatch(fields[0]):
            continue
        if fault := _fault(line.number, fields, column, number=len(tokens) + 1):
            return [], fault
        tokens.append(Token(fields[1], fields[_ANNOTATED[column]]))
    return tokens, None


def _fault(line: int, fields: list[str], column: TagColumn, number: int) -> Fault | None:
    if fields[0] != str(number):
        hint = "; is a blank line between two sentences missing?" if fields[0] == "1" else ""
        return Fault(line, WRONG_NUMBER, f"expected {number}, got {fields[0]!r}{hint}")
    if not fields[1].strip():
        return Fault(line, NO_FORM, "column 2 is empty")
    tag = fields[_ANNOTATED[column]]
    if not tag.strip() or (tag == "_" and column not in _MAY_BE_NONE):
        return Fault(
            line, NO_TAG, f"expected {column.upper()} of {fields[1]!r} in column {_ANNOTATED[column] + 1}, got {tag!r}"
        )
    return None


def _columns(fields: list[str]) -> str:
    hint = "; are there spaces instead of tabs?" if len(fields) == 1 and " " in fields[0] else ""
    return f"expected {len(COLUMNS)} ({' '.join(COLUMNS)}) with tabs between them, got {len(fields)}{hint}"
