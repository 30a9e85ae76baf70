"""Lines of text from a file or stdin, in blocks: as many as are there, so that a pipe gets its answers without waiting.

A line ends at \\n and nowhere else; a \\r before it is dropped; invalid UTF-8 is refused with its line number.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from clearhead.errors import DataError

BLOCK_BYTES = 1 << 17
LONGEST_LINE = 1 << 20


def open_lines(file: Path | None) -> contextlib.AbstractContextManager[BinaryIO]:
    """The bytes of ``file``, or of stdin.

    Raises:
        DataError: the file cannot be opened.
    """
    if file is None or str(file) == "-":
        return contextlib.nullcontext(sys.stdin.buffer)
    try:
        return file.open("rb")
    except OSError as error:
        raise DataError(f"{file}: {(error.strerror or str(error)).lower()}") from None


def line_blocks(stream: BinaryIO, name: str) -> Iterator[list[str]]:
    """Blocks of whole lines as they become available.

    Raises:
        DataError: a line is not UTF-8, or longer than 1 MiB; the message says which.
    """
    rest, number = b"", 0
    while chunk := _some(stream):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LONGEST_LINE:
            raise DataError(f"{name}:{number + len(lines) + 1}: the line is longer than {LONGEST_LINE} bytes")
        yield from _decoded(lines, name, number)
        number += len(lines)
    if rest:
        yield from _decoded([rest], name, number)


def _decoded(lines: list[bytes], name: str, number: int) -> Iterator[list[str]]:
    """``lines``, which follow line ``number``, as one block; what stands before a broken line goes out first."""
    block: list[str] = []
    fault: DataError | None = None
    for line in lines:
        number += 1
        try:
            block.append(_text(line, name, number))
        except DataError as error:
            fault = error
            break
    if block:
        yield block
    if fault is not None:
        raise fault


def _some(stream: BinaryIO) -> bytes:
    """What can be read without waiting for more; a buffered stream gives what one system call gives."""
    chunk: bytes = stream.read1(BLOCK_BYTES)  # type: ignore[attr-defined]
    return chunk


def _text(line: bytes, name: str, number: int) -> str:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{name}:{number}: byte {error.start + 1} of the line is not valid UTF-8") from None
    return (text.removeprefix("\ufeff") if number == 1 else text).removesuffix("\r")
