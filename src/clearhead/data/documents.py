"""Documents as a stream of pieces, line by line, so that one document may be larger than memory.

Lines end at ``\\n`` and nowhere else (see ``lines``). In a document that is a whole file every line keeps its line end;
a paragraph keeps those between its lines; a document that is one line, or one value of a table, is its text. A line
that cannot be read goes to the ledger, which counts lines, or rows of a table. This file does not know tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from clearhead.data.document_settings import DocumentFiles, TailSplit
from clearhead.data.ledger import Ledger
from clearhead.data.lines import read_lines
from clearhead.data.read import read_pairs
from clearhead.errors import DataError

BLANK = "a blank document"
PARTS = ("train", "valid", "test")


class Piece(NamedTuple):
    """Some text of a document; with ``ends`` its last. A document's pieces, one after another, are its text."""

    text: str
    ends: bool


def document_paths(files: DocumentFiles, folder: Path, *, missing: bool = False) -> list[Path]:
    """The files meant, in the order in which they are read.

    Raises:
        DataError: a pattern matches nothing, and that may not be (``missing``).
    """
    found: list[Path] = []
    for name in files.files:
        if not any(sign in name for sign in "*?["):
            found.append(folder / name)
            continue
        root = Path(name).anchor
        matches = sorted((Path(root) if root else folder).glob(name.removeprefix(root)))
        if not (matches or missing):
            raise DataError(f"no file in {folder} matches {name!r}")
        found += matches
    return found


def read_documents(files: DocumentFiles, folder: Path, ledger: Ledger) -> Iterator[Piece]:
    """The pieces of all documents, in order; blank documents are dropped and counted.

    Raises:
        DataError: a file is missing or damaged, or a line is unreadable and the ledger is strict.
    """
    for path in document_paths(files, folder):
        if files.column is not None:
            yield from _rows(files, path, ledger)
        else:
            yield from _FORMS[files.documents](_texts(path, ledger), path, ledger)


def split_part(files: DocumentFiles, folder: Path, ledger: Ledger, split: TailSplit, part: str) -> Iterator[Piece]:
    """The pieces of one part ("train", "valid" or "test") of a text that is split at its tail. Reads it twice."""
    total = sum(len(piece.text) for piece in read_documents(files, folder, Ledger(strict=ledger.strict)))
    borders = [0, int(total * (1 - split.valid - split.test)), int(total * (1 - split.test)), total]
    number = PARTS.index(part)
    pieces = read_documents(files, folder, ledger)
    cut = _sliced if files.column is None and files.documents == "file" else _chosen
    return cut(pieces, borders[number], borders[number + 1])


def _sliced(pieces: Iterable[Piece], first: int, last: int) -> Iterator[Piece]:
    """The characters from ``first`` up to ``last``; what a cut leaves of a document is a document."""
    place = 0
    for text, ends in pieces:
        begin, place = place, place + len(text)
        kept = text[max(first - begin, 0) : max(last - begin, 0)]
        if kept:
            yield Piece(kept, ends or place >= last)


def _chosen(pieces: Iterable[Piece], first: int, last: int) -> Iterator[Piece]:
    """The whole documents that begin at a character from ``first`` up to ``last``."""
    place, inside, at_start = 0, False, True
    for piece in pieces:
        inside = first <= place < last if at_start else inside
        if inside:
            yield piece
        place, at_start = place + len(piece.text), piece.ends


def _rows(files: DocumentFiles, path: Path, ledger: Ledger) -> Iterator[Piece]:
    for pair in read_pairs(files.table(str(path)), Path(), ledger):
        if pair.source.strip():
            yield Piece(pair.source, ends=True)
        else:
            ledger.drop(BLANK, path, pair.line)


def _texts(path: Path, ledger: Ledger) -> Iterator[tuple[str, int]]:
    """The readable lines and their numbers."""
    for line in read_lines(path, ledger):
        if line.problem:
            ledger.read += 1
            ledger.bad(line.problem, path, line.number, line.detail)
        else:
            yield line.text, line.number


def _whole_file(lines: Iterator[tuple[str, int]], path: Path, ledger: Ledger) -> Iterator[Piece]:
    waiting: str | None = None
    for text, _ in lines:
        ledger.read += 1
        if waiting is not None:
            yield Piece(waiting, ends=False)
        waiting = text + "\n"
    if waiting is None:
        ledger.note("an empty file", path, 1)
    else:
        yield Piece(waiting, ends=True)


def _by_line(lines: Iterator[tuple[str, int]], path: Path, ledger: Ledger) -> Iterator[Piece]:
    for text, number in lines:
        ledger.read += 1
        if text.strip():
            yield Piece(text, ends=True)
        else:
            ledger.drop(BLANK, path, number)


def _by_paragraph(lines: Iterator[tuple[str, int]], path: Path, ledger: Ledger) -> Iterator[Piece]:
    """Blank lines are borders, not text, and are not counted."""
    waiting = ""
    for text, _ in lines:
        blank = not text.strip()
        if waiting:
            yield Piece(waiting if blank else waiting + "\n", ends=blank)
        waiting = "" if blank else text
        ledger.read += not blank
    if waiting:
        yield Piece(waiting, ends=True)


_FORMS = {"file": _whole_file, "line": _by_line, "paragraph": _by_paragraph}
