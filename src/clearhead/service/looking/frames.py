"""Arrays of numbers as one binary frame, which a page reads without parsing digits.

    4 bytes   length of the header, unsigned, little-endian
    header    JSON (UTF-8), padded with spaces so that what follows begins at a multiple of 8
    arrays    one after another, little-endian, row-major, each padded to a multiple of 8

``header["arrays"]`` lists name, dtype ("uint8", "int32", "float16", "float32"), shape and byte offset behind the
header. Whatever else the header says is up to who sends it.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNED = 8


def to_frame(facts: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """``facts`` and ``arrays`` in one piece."""
    table, bodies, offset = [], [], 0
    for name, array in arrays.items():
        body = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()
        table.append({"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "offset": offset})
        bodies.append(_padded(body, b"\0"))
        offset += len(bodies[-1])
    header = json.dumps(finite({**facts, "arrays": table}), ensure_ascii=False, separators=(",", ":")).encode()
    header += b" " * (-(len(header) + 4) % ALIGNED)
    return struct.pack("<I", len(header)) + header + b"".join(bodies)


def from_frame(frame: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What ``to_frame`` was given: the facts, and the arrays by name."""
    (length,) = struct.unpack_from("<I", frame)
    facts = json.loads(frame[4 : 4 + length])
    arrays = {}
    for each in facts.pop("arrays"):
        dtype, shape = np.dtype(each["dtype"]).newbyteorder("<"), tuple(each["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        arrays[each["name"]] = np.frombuffer(frame, dtype, count, 4 + length + each["offset"]).reshape(shape)
    return facts, arrays


def finite(data: Any) -> Any:
    """``data`` with null for what JSON has no number for."""
    if isinstance(data, dict):
        return {name: finite(value) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def _padded(body: bytes, filler: bytes) -> bytes:
    return body + filler * (-len(body) % ALIGNED)
