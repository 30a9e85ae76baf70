"""Sentence pairs from one text table with a column for each side: tab-separated, CSV, JSON lines.

Tab-separated text has no quoting: a tab is always a border, a quotation mark a character. CSV follows RFC 4180:
quoted values may hold commas, quotation marks and line ends. Each reader is a stream, and each unreadable record is
left to the ledger.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from clearhead.data.ledger import Ledger
from clearhead.data.lines import Line, read_lines
from clearhead.data.pair import Pair, checked_pair
from clearhead.data.settings import PairFiles
from clearhead.errors import DataError, nearest

BROKEN_CSV = "broken CSV"
BROKEN_JSON = "broken JSON"
NOT_AN_OBJECT = "a line that is no JSON object"
WRONG_COLUMNS = "a wrong number of columns"


class _Record(NamedTuple):
    """The fields of one row, or what is wrong with it; ``line`` is where it begins."""

    line: int
    fields: list[str]
    problem: str = ""
    detail: str = ""


class _Layout(NamedTuple):
    """How many columns every row has, and which of them, from 0, are source and target."""

    width: int
    source: int
    target: int


def read_tsv(path: Path, files: PairFiles, ledger: Ledger) -> Iterator[Pair]:
    """Pairs of a tab-separated file; see ``read.read_pairs``."""
    return _pairs_of_records(_split_at_tabs(path, ledger), path, files, ledger)


def read_csv(path: Path, files: PairFiles, ledger: Ledger) -> Iterator[Pair]:
    """Pairs of a comma-separated file; see ``read.read_pairs``."""
    return _pairs_of_records(_parse_csv(path, ledger), path, files, ledger)


def read_jsonl(path: Path, files: PairFiles, ledger: Ledger) -> Iterator[Pair]:
    """Pairs of a file with one JSON object a line; see ``read.read_pairs``."""
    for line in read_lines(path, ledger):
        ledger.read += 1
        if line.problem:
            ledger.bad(line.problem, path, line.number, line.detail)
        elif not line.text.strip():
            yield Pair("", "", line.number)
        elif (record := _parse_object(line, path, ledger)) is not None:
            yield from checked_pair(record, files, path, line.number, ledger)


def _parse_object(line: Line, path: Path, ledger: Ledger) -> dict[str, Any] | None:
    try:
        record = json.loads(line.text)
    except (ValueError, RecursionError) as error:
        ledger.bad(BROKEN_JSON, path, line.number, str(error))
        return None
    if isinstance(record, dict):
        return record
    ledger.bad(NOT_AN_OBJECT, path, line.number, f"it is a {type(record).__name__}")
    return None


def _pairs_of_records(records: Iterator[_Record], path: Path, files: PairFiles, ledger: Ledger) -> Iterator[Pair]:
    layout = _read_header(records, path, files) if files.header else None
    for record in records:
        ledger.read += 1
        if record.problem:
            ledger.bad(record.problem, path, record.line, record.detail)
        elif record.fields in ([], [""]):
            yield Pair("", "", record.line)
        else:
            layout = layout or _layout(record, path, files)
            yield from _pair_of_row(record, layout, path, ledger)


def _read_header(records: Iterator[_Record], path: Path, files: PairFiles) -> _Layout:
    header = next(records, None)
    if header is None:
        raise DataError(f"{path} is empty: expected a first line that names the columns")
    if header.problem:
        raise DataError(f"{path}:{header.line}: {header.problem} in the names of the columns ({header.detail})")
    return _layout(header, path, files)


def _pair_of_row(record: _Record, layout: _Layout, path: Path, ledger: Ledger) -> Iterator[Pair]:
    if len(record.fields) == layout.width:
        yield Pair(record.fields[layout.source], record.fields[layout.target], record.line)
    else:
        detail = f"expected {layout.width} as in the first line, got {len(record.fields)}"
        ledger.bad(WRONG_COLUMNS, path, record.line, detail)


def _layout(first: _Record, path: Path, files: PairFiles) -> _Layout:
    find = _named_column if files.header else _numbered_column
    source, target = (find(name, first.fields, path) for name in (files.source, files.target))
    return _Layout(len(first.fields), source, target)


def _named_column(name: str, header: list[str], path: Path) -> int:
    if header.count(name) != 1:
        problem = "more than one column" if name in header else "no column"
        hint = nearest(name, header) if problem == "no column" else ""
        raise DataError(f"{path} has {problem} {name!r}{hint}: its first line names {', '.join(map(repr, header))}")
    return header.index(name)


def _numbered_column(number: str, row: list[str], path: Path) -> int:
    if int(number) > len(row):
        raise DataError(f"{path} has no column {number}: its first line has {len(row)} columns")
    return int(number) - 1


def _split_at_tabs(path: Path, ledger: Ledger) -> Iterator[_Record]:
    for line in read_lines(path, ledger):
        yield _Record(line.number, line.text.split("\t"), line.problem, line.detail)


def _parse_csv(path: Path, ledger: Ledger) -> Iterator[_Record]:
    """Records, each with the first problem of the lines it spans. After broken quoting the next line begins anew."""
    spanned: list[Line] = []
    reader = csv.reader(_remembered(read_lines(path, ledger), spanned), strict=True)
    while True:
        spanned.clear()
        problem = detail = ""
        fields: list[str] = []
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problem, detail = BROKEN_CSV, f"{error}; the record spans {len(spanned)} lines"
        unreadable = next((line for line in spanned if line.problem), None)
        if unreadable:
            problem, detail = unreadable.problem, unreadable.detail
        yield _Record(spanned[0].number, fields, problem, detail)


def _remembered(lines: Iterator[Line], spanned: list[Line]) -> Iterator[str]:
    for line in lines:
        # Texts are let go at once, so that an unclosed quotation mark does not gather the rest of the file.
        spanned.append(line._replace(text=""))
        yield line.text + "\n"
