"""Labelled texts as a stream, whatever the file looks like: a text, its labels, the line they came from.

The tables are those of pairs, read by the same readers; only where a value need not be text (numbers and lists in JSON
lines and Parquet) is it read here. What a row's labels mean, and which there are, is settled here, too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from clearhead.data.label_settings import LabelData, LabelledFile
from clearhead.data.ledger import Ledger
from clearhead.data.lines import read_lines
from clearhead.data.pair import HAS_NUL, LONE_SURROGATE, MISSING_FIELD, WRONG_TYPE, Pair
from clearhead.data.settings import Format
from clearhead.data.tables import BROKEN_JSON, NOT_AN_OBJECT, read_csv, read_tsv
from clearhead.errors import DataError, nearest, need

NO_LABEL = "a missing label"
UNKNOWN_LABEL = "a label that the file of labels lacks"
WRONG_LABEL = "a label that is neither text nor a whole number"
_ROWS_AT_A_TIME = 4096


class LabelledText(NamedTuple):
    """One text with its labels; a single one where a text has exactly one."""

    text: str
    labels: tuple[str, ...]
    line: int


class Meaning(NamedTuple):
    """How a label field is read: ``separator`` of labels, None for exactly one; ``names`` by number, if any."""

    separator: str | None
    names: tuple[str, ...] | None


class _Row(NamedTuple):
    """What a file says of one text: the text, and the label field as it stands there."""

    text: str
    field: Any
    line: int


class _Reader(Protocol):
    def __call__(self, path: Path, file: LabelledFile, ledger: Ledger) -> Iterator[_Row]: ...


def read_labelled(file: LabelledFile, folder: Path, meaning: Meaning, ledger: Ledger) -> Iterator[LabelledText]:
    """The labelled texts of ``file``, in order, blank texts included. Every row met adds one to ``ledger.read``.

    Raises:
        DataError: the file is missing or damaged, a named column does not exist, or a row is unreadable and the ledger
            is strict. The message names file and line.
    """
    path = folder / file.file
    for row in _READERS[file.as_pairs().format or "tsv"](path, file, ledger):
        labels, problem, detail = _labels(row.field, meaning)
        if problem:
            ledger.bad(problem, path, row.line, detail)
        else:
            yield LabelledText(row.text, labels, row.line)


def meaning_of(data: LabelData, names: Sequence[str] | None) -> Meaning:
    """How the label fields of ``data`` are read."""
    return Meaning(data.between, None if names is None else tuple(names))


def _labels(field: Any, meaning: Meaning) -> tuple[tuple[str, ...], str, str]:
    """The labels of a field, or what is wrong with it."""
    given = _listed(field, meaning.separator)
    if given is None:
        return (), WRONG_LABEL, f"got {json.dumps(field, ensure_ascii=False, default=str)[:40]}"
    if meaning.separator is None and len(given) != 1:
        return (), NO_LABEL if not given else "more than one label", f"expected exactly one, got {len(given)}"
    named = [name_of(label, meaning.names) for label in given]
    for label, name in zip(given, named, strict=True):
        if name is None:
            names = meaning.names or ()
            return (), UNKNOWN_LABEL, f"{label!r}{nearest(label, names)} is none of its {len(names)} names or numbers"
    return tuple(dict.fromkeys(name for name in named if name is not None)), "", ""


def _listed(field: Any, separator: str | None) -> list[str] | None:
    if field is None:
        return []
    if isinstance(field, str):
        parts = [field] if separator is None else field.split(separator)
        return [part.strip() for part in parts if part.strip()]
    if isinstance(field, int) and not isinstance(field, bool):
        return [str(field)]
    if isinstance(field, list):
        inner = [_listed(each, None) for each in field if not isinstance(each, list)]
        if len(inner) == len(field) and all(each for each in inner):
            return [label for each in inner for label in each or ()]
    return None


def name_of(label: str, names: tuple[str, ...] | None) -> str | None:
    """The name of a label that is a name or a number; None where it is neither."""
    if names is None or label in names:
        return label
    if label.isascii() and label.isdecimal() and int(label) < len(names):
        return names[int(label)]
    return None


def _read_table(path: Path, file: LabelledFile, ledger: Ledger) -> Iterator[_Row]:
    """Tab-separated text and CSV, whose fields are text."""
    read = read_csv if file.as_pairs().format == "csv" else read_tsv
    for pair in read(path, file.as_pairs(), ledger):
        if pair == Pair("", "", pair.line):
            ledger.drop("a blank line", path, pair.line)
        else:
            yield _Row(pair.source, pair.target, pair.line)


def _read_jsonl(path: Path, file: LabelledFile, ledger: Ledger) -> Iterator[_Row]:
    for line in read_lines(path, ledger):
        ledger.read += 1
        if line.problem:
            ledger.bad(line.problem, path, line.number, line.detail)
        elif not line.text.strip():
            ledger.drop("a blank line", path, line.number)
        else:
            try:
                record = json.loads(line.text)
            except (ValueError, RecursionError) as error:
                ledger.bad(BROKEN_JSON, path, line.number, str(error))
                continue
            yield from _checked(record, file, path, line.number, ledger)


def _read_parquet(path: Path, file: LabelledFile, ledger: Ledger) -> Iterator[_Row]:
    table = _open_parquet(path)
    for name in (file.text, file.label):
        if table.schema_arrow.names.count(name) != 1:
            known = table.schema_arrow.names
            raise DataError(f"{path} has no column {name!r}{nearest(name, known)}, it has {known}")
    line = 0
    try:
        for batch in table.iter_batches(_ROWS_AT_A_TIME, columns=list({file.text, file.label}), use_threads=False):
            for record in batch.to_pylist():
                line += 1
                ledger.read += 1
                yield from _checked(record, file, path, line, ledger)
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read after row {line}: {error}") from error
    finally:
        table.close()


def _open_parquet(path: Path) -> Any:
    parquet = need("pyarrow.parquet", "parquet")
    try:
        return parquet.ParquetFile(path)
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from error


def _checked(record: Any, file: LabelledFile, path: Path, line: int, ledger: Ledger) -> Iterator[_Row]:
    """The row that a record makes, or none: then what is wrong goes to ``ledger``."""
    if not isinstance(record, dict):
        ledger.bad(NOT_AN_OBJECT, path, line, f"it is a {type(record).__name__}")
        return
    for name in (file.text, file.label):
        if name not in record:
            known = ", ".join(map(repr, list(record)[:10])) or "nothing"
            ledger.bad(MISSING_FIELD, path, line, f"expected {name!r}{nearest(name, record)}, got {known}")
            return
    text = record[file.text]
    if not isinstance(text, str):
        kind = "null" if text is None else f"a {type(text).__name__}"
        ledger.bad(WRONG_TYPE, path, line, f"{file.text!r} is {kind}")
    elif "\0" in text:
        ledger.bad(HAS_NUL, path, line, f"in {file.text!r}")
    elif not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        ledger.bad(LONE_SURROGATE, path, line, f"in {file.text!r}")
    else:
        yield _Row(text, record[file.label], line)


_READERS: dict[Format, _Reader] = {
    "tsv": _read_table,
    "csv": _read_table,
    "jsonl": _read_jsonl,
    "parquet": _read_parquet,
}
