"""The lines of a text file as a stream, each with its number, and what is wrong with it if something is.

A line ends at ``\\n`` and nowhere else: U+2028, U+0085 and form feed are characters of the text. A carriage return
before the end and a byte order mark at the start of the file are taken off and noted. Memory does not grow with the
file. This file knows nothing of pairs or columns.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from clearhead.data.ledger import Ledger
from clearhead.data.pair import HAS_NUL
from clearhead.errors import DataError

LONGEST_LINE = 16 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")

NOT_UTF8 = "invalid UTF-8"
TOO_LONG = f"a line of more than {LONGEST_LINE // 1024**2} MiB"


class Line(NamedTuple):
    """One line without its end. With ``problem``, ``text`` must not be used."""

    number: int
    text: str
    problem: str = ""
    detail: str = ""


def read_lines(path: Path, ledger: Ledger) -> Iterator[Line]:
    """Every line of a file (unpacked when its name ends in ``.gz``); remarks go to ``ledger``, problems to the caller.

    Raises:
        DataError: the file is missing, unreadable, or its compression is broken.
    """
    number = 0
    with _reporting(path, lambda: number), open_bytes(path) as stream:
        while raw := stream.readline(LONGEST_LINE):
            number += 1
            if len(raw) == LONGEST_LINE and not raw.endswith(b"\n"):
                _skip_rest(stream)
                yield Line(number, "", TOO_LONG, "is this a text file?")
                continue
            yield _decode(raw, number, path, ledger)


def open_bytes(path: Path) -> IO[bytes]:
    """The file's bytes, unpacked when its name ends in ``.gz``."""
    return gzip.open(path, "rb") if path.name.lower().endswith(".gz") else path.open("rb")  # type: ignore[return-value]


def _decode(raw: bytes, number: int, path: Path, ledger: Ledger) -> Line:
    raw = raw.removesuffix(b"\n")
    if raw.endswith(b"\r"):
        raw = raw.removesuffix(b"\r")
        ledger.note("carriage return at the end of the line taken off", path, number)
    if number == 1 and raw.startswith(_BOM):
        raw = raw.removeprefix(_BOM)
        ledger.note("byte order mark taken off", path, number)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        detail = f"byte 0x{raw[error.start]:02x} at position {error.start + 1}"
        if number == 1 and raw.startswith(_UTF16):
            detail += "; the file looks like UTF-16"
        # Kept in this reversible form for readers whose records span lines; the problem stays attached.
        return Line(number, raw.decode("utf-8", "surrogateescape"), NOT_UTF8, detail)
    return Line(number, text, HAS_NUL) if "\0" in text else Line(number, text)


def _skip_rest(stream: IO[bytes]) -> None:
    while (raw := stream.readline(LONGEST_LINE)) and not raw.endswith(b"\n"):
        pass


@contextmanager
def _reporting(path: Path, number: Callable[[], int]) -> Iterator[None]:
    """Turn what the operating system or the unpacker says into a sentence with the file and the line."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path} cannot be unpacked after line {number()} ({error}): the file is damaged or not fully downloaded"
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
