"""A sentence and its translation, with the place they came from, and the check of values that may be no text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clearhead.data.ledger import Ledger
from clearhead.data.settings import PairFiles
from clearhead.errors import nearest

MISSING_FIELD = "a missing field"
WRONG_TYPE = "a value that is no text"
HAS_NUL = "a NUL character"
LONE_SURROGATE = "a lone surrogate"


class Pair(NamedTuple):
    """``line``: the line of the file, from 1 (of a Parquet file the row; of a CSV record the line where it begins)."""

    source: str
    target: str
    line: int


def checked_pair(record: Mapping[str, Any], files: PairFiles, path: Path, line: int, ledger: Ledger) -> Iterator[Pair]:
    """The one pair that the two fields of ``record`` make, or none: then what is wrong goes to ``ledger``."""
    for name in (files.source, files.target):
        problem, detail = _problem(record, name)
        if problem:
            ledger.bad(problem, path, line, detail)
            return
    yield Pair(record[files.source], record[files.target], line)


def _problem(record: Mapping[str, Any], name: str) -> tuple[str, str]:
    if name not in record:
        known = ", ".join(map(repr, list(record)[:10])) or "nothing"
        return MISSING_FIELD, f"expected {name!r}{nearest(name, record)}, got {known}"
    value = record[name]
    if not isinstance(value, str):
        return WRONG_TYPE, f"{name!r} is {'null' if value is None else 'a ' + type(value).__name__}"
    if "\0" in value:
        return HAS_NUL, f"in {name!r}"
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        return LONE_SURROGATE, f"in {name!r}"
    return "", ""
