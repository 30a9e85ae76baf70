"""Sentence pairs as a stream, whatever the files look like. One table line per format.

Two plain files are read side by side and must have the same number of lines. This file knows how to align and what
to refuse; the formats of tables are in ``tables``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from clearhead.data.ledger import Ledger
from clearhead.data.lines import Line, read_lines
from clearhead.data.pair import Pair
from clearhead.data.parquet import read_parquet
from clearhead.data.settings import PairFiles
from clearhead.data.tables import read_csv, read_jsonl, read_tsv
from clearhead.errors import DataError

_TABLES = {
    "tsv": read_tsv,
    "csv": read_csv,
    "jsonl": read_jsonl,
    "parquet": read_parquet,
}


def read_pairs(files: PairFiles, folder: Path, ledger: Ledger) -> Iterator[Pair]:
    """The pairs of ``files``, in order; blank ones included, unreadable ones not.

    Every pair met, usable or not, adds one to ``ledger.read``.

    Raises:
        DataError: a file is missing or damaged, two plain files have different numbers of lines, a named column does
            not exist, or a line is unreadable and the ledger is strict. The message names file and line.
    """
    if files.format is None:
        return _read_plain(folder / files.source, folder / files.target, ledger)
    (path,) = data_paths(files, folder)
    return _TABLES[files.format](path, files, ledger)


def data_paths(files: PairFiles, folder: Path) -> list[Path]:
    """The one or two files that ``files`` speaks of."""
    names = [files.source, files.target] if files.file is None else [files.file]
    return [folder / name for name in names]


def _read_plain(source: Path, target: Path, ledger: Ledger) -> Iterator[Pair]:
    sides = zip_longest(read_lines(source, ledger), read_lines(target, ledger))
    for number, (left, right) in enumerate(sides, start=1):
        if left is None or right is None:
            longer = number + sum(1 for _ in sides)
            raise _misaligned((source, target), (number - 1, longer) if left is None else (longer, number - 1))
        ledger.read += 1
        if not (_refused(left, source, ledger) or _refused(right, target, ledger)):
            yield Pair(left.text, right.text, number)


def _refused(line: Line, path: Path, ledger: Ledger) -> bool:
    if line.problem:
        ledger.bad(line.problem, path, line.number, line.detail)
    return bool(line.problem)


def _misaligned(paths: tuple[Path, Path], counts: tuple[int, int]) -> DataError:
    return DataError(
        f"{paths[0]} has {counts[0]} lines, but {paths[1]} has {counts[1]}: line n of one must be the translation of "
        "line n of the other, so a line is missing or was added somewhere, perhaps by a tool that breaks lines at "
        "other characters than \\n"
    )
