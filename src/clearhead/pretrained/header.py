"""What a safetensors file says it holds, checked against the file's size before a byte of a tensor is read.

The format (https://github.com/huggingface/safetensors): the length of the header in 8 bytes, little-endian; the header,
a JSON object of names with dtype, shape and place; the tensors' bytes without gaps. Nothing larger than the file can be
allocated from a header that passed, because every shape fits its bytes and all bytes fit the file. It knows no models.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhead.errors import RunError
from clearhead.strict_json import parse_json

MAX_HEADER = 16 << 20
MAX_DIMENSIONS, MAX_NUMBERS = 8, 1 << 48
BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One tensor of a file: its dtype by the format's name, its shape, and where its bytes begin in the file."""

    dtype: str
    shape: tuple[int, ...]
    place: int

    @property
    def bytes(self) -> int:
        """How many bytes it takes."""
        return math.prod(self.shape) * BYTES[self.dtype]


def read_header(path: Path) -> dict[str, Entry]:
    """Every tensor of the file by name; the file is as long as they need, without holes and overlaps.

    Raises:
        RunError: the file cannot be read, is damaged, or holds what is not read here; the message names it.
    """
    header, body, first = _parsed(path)
    metadata = header.pop("__metadata__", {})
    if not (isinstance(metadata, dict) and all(isinstance(text, str) for text in metadata.values())):
        raise RunError(f"{path} is damaged: its metadata should be names with texts")
    spans = {name: _span(path, name, entry) for name, entry in header.items()}
    _check_no_gap(path, spans.values(), body)
    return {
        name: Entry(entry["dtype"], tuple(entry["shape"]), first + spans[name][0]) for name, entry in header.items()
    }


def _parsed(path: Path) -> tuple[dict[str, Any], int, int]:
    """The header of ``path``, how many bytes follow it, and where the first of them stands."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAX_HEADER, size - 8):
                raise RunError(f"{path} is damaged: its header should take {length} bytes of a file of {size}")
            return parse_json(file.read(length), f"{path} (its header)"), size - 8 - length, 8 + length
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from None


def _span(path: Path, name: str, entry: Any) -> tuple[int, int]:
    """Where the tensor begins and ends behind the header, by an entry that is well made and fits its shape."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise RunError(f"{path} is damaged: the entry of {name!r} in its header is malformed")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in BYTES:
        raise RunError(f"{path}: {name} should be one of {', '.join(BYTES)}, but is {entry['dtype']!r}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    if not _whole_numbers(shape) or len(shape) > MAX_DIMENSIONS or math.prod(max(1, n) for n in shape) > MAX_NUMBERS:
        raise RunError(f"{path} is damaged: the shape of {name!r} should be a few whole numbers, got {_short(shape)}")
    if not _whole_numbers(offsets) or len(offsets) != 2:
        raise RunError(f"{path} is damaged: the offsets of {name!r} should be two whole numbers, got {_short(offsets)}")
    start, stop = offsets
    if stop - start != math.prod(shape) * BYTES[entry["dtype"]]:
        raise RunError(f"{path} is damaged: {name} takes {stop - start} bytes, which is not its shape's")
    return start, stop


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)


def _short(value: object) -> str:
    """``value`` as the file has it, but never a page of it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _check_no_gap(path: Path, spans: Iterable[tuple[int, int]], body: int) -> None:
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise RunError(f"{path} is damaged: its tensors overlap or leave a hole at byte {end}")
        end = stop
    if end != body:
        raise RunError(f"{path} is damaged: its tensors should take {end} bytes, but {body} follow the header")
