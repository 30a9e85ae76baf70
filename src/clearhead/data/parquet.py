"""Sentence pairs from two text columns of a Parquet file, batch by batch, through the optional pyarrow.

Memory is that of one row group. Values are checked as bytes, because a Parquet file may claim to hold text and not
do so. It knows no other format.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clearhead.data.ledger import Ledger
from clearhead.data.lines import NOT_UTF8
from clearhead.data.pair import Pair, checked_pair
from clearhead.data.settings import PairFiles
from clearhead.errors import DataError, nearest, need

_ROWS_AT_A_TIME = 4096


def read_parquet(path: Path, files: PairFiles, ledger: Ledger) -> Iterator[Pair]:
    """Pairs of a Parquet file; a pair's ``line`` is its row, from 1. See ``read.read_pairs``.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    table = _open(path)
    _check_columns(table.schema_arrow, files, path)
    for row, values in enumerate(_values(table, files, path), start=1):
        ledger.read += 1
        yield from _pair(values, row, path, files, ledger)


def _values(table: Any, files: PairFiles, path: Path) -> Iterator[tuple[bytes | None, bytes | None]]:
    row, names = 0, list(dict.fromkeys((files.source, files.target)))
    try:
        for batch in table.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=names, use_threads=False):
            sources, targets = _bytes_of(batch.column(files.source)), _bytes_of(batch.column(files.target))
            yield from zip(sources, targets, strict=True)
            row += len(sources)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read after row {row}: {error}") from error
    finally:
        table.close()


def _pair(values: tuple[bytes | None, ...], row: int, path: Path, files: PairFiles, ledger: Ledger) -> Iterator[Pair]:
    try:
        source, target = (None if value is None else value.decode("utf-8") for value in values)
    except UnicodeDecodeError as error:
        ledger.bad(NOT_UTF8, path, row, error.reason)
    else:
        yield from checked_pair({files.source: source, files.target: target}, files, path, row, ledger)


def _open(path: Path) -> Any:
    parquet = need("pyarrow.parquet", "parquet")
    try:
        return parquet.ParquetFile(path)
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from error


def _check_columns(schema: Any, files: PairFiles, path: Path) -> None:
    types = need("pyarrow.types", "parquet")
    for name in (files.source, files.target):
        if schema.names.count(name) != 1:
            raise DataError(f"{path} has no column {name!r}{nearest(name, schema.names)}, it has {schema.names}")
        kind = schema.field(name).type
        kind = kind.value_type if types.is_dictionary(kind) else kind
        if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
            raise DataError(f"{path}: column {name!r} should hold text, but it holds {kind}")


def _bytes_of(column: Any) -> list[bytes | None]:
    arrow = need("pyarrow", "parquet")
    plain = column.dictionary_decode() if arrow.types.is_dictionary(column.type) else column
    values: list[bytes | None] = plain.cast(arrow.large_binary()).to_pylist()
    return values
