"""The weights of a finished run, checked name by name and byte by byte before they are used.

A safetensors file is an 8-byte length, a JSON header of that length, then the tensors' bytes. All of the header is
checked against the file's size and against what the configuration asks for, and the count of numbers before the model
is built, so that nothing larger than the file is ever allocated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from clearhead.errors import RunError
from clearhead.service.strict_json import parse_json
from clearhead.training.durable import digest_of
from clearhead.training.tensorfile import read_tensors
from clearhead.training.weights import load_weights, weights_of

MAX_HEADER = 16 << 20
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


def read_weights(path: Path, model: nn.Module, *, sha256: str | None) -> None:
    """Fill ``model`` from ``path``, after the file proved to hold exactly this model's tensors, undamaged.

    Raises:
        RunError: the file is missing, cut short, damaged, or belongs to another model; the message names it.
    """
    check_header(path, {name: tuple(tensor.shape) for name, tensor in weights_of(model).items()})
    if sha256 is not None and (found := digest_of(path).sha256) != sha256:
        raise RunError(
            f"{path} is damaged: expected SHA-256 {sha256[:12]}… as recorded in config.json, got {found[:12]}…; "
            "copy the file again or train again"
        )
    load_weights(model, read_tensors(path), path)


def check_count(path: Path, parameters: int) -> None:
    """Refuse ``path`` unless it holds as many numbers as the model has; cheap, so that it can come before the model.

    Raises:
        RunError: the file is missing or damaged, or another model's.
    """
    header, _ = _header(path)
    entries = [entry for name, entry in header.items() if name != "__metadata__"]
    count = sum(_size(path, entry) for entry in entries)
    if count != parameters:
        raise RunError(
            f"{path} holds {count:,} numbers, but by config.json this model has {parameters:,}; "
            "do the two files belong to one run?"
        )


def check_header(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse ``path`` unless its header fits its size and names exactly ``shapes``."""
    header, body = _header(path)
    header.pop("__metadata__", None)
    for name in sorted(header.keys() | shapes.keys()):
        if name not in header:
            raise RunError(f"{path}: the model has a weight {name!r} which the file lacks; is it another model's file?")
        if name not in shapes:
            raise RunError(f"{path}: the file has a weight {name!r} which the model lacks; is it another model's file?")
        _check_tensor(path, name, header[name], shapes[name])
    _check_no_gap(path, [entry["data_offsets"] for entry in header.values()], body)


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of ``path`` and how many bytes follow it."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > min(MAX_HEADER, size - 8):
                raise RunError(f"{path} is damaged: its header should take {length} bytes of a file of {size}")
            return parse_json(file.read(length), f"{path} (its header)"), size - 8 - length
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from None


def _size(path: Path, entry: Any) -> int:
    """How many numbers a tensor has by its entry in the header."""
    shape = entry.get("shape") if isinstance(entry, dict) else None
    if not (isinstance(shape, list) and all(type(size) is int and size >= 0 for size in shape)):
        raise RunError(f"{path} is damaged: an entry of its header has no shape")
    return math.prod(shape)


def _check_tensor(path: Path, name: str, entry: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise RunError(f"{path} is damaged: the entry of {name!r} in its header is malformed")
    if entry["shape"] != list(shape):
        raise RunError(f"{path}: {name} should have shape {list(shape)} by config.json, but has {entry['shape']}")
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in BYTES:
        raise RunError(f"{path}: {name} should be one of {', '.join(BYTES)}, but is {entry['dtype']!r}")
    offsets = entry["data_offsets"]
    if not (isinstance(offsets, list) and len(offsets) == 2 and all(type(offset) is int for offset in offsets)):
        raise RunError(f"{path} is damaged: the offsets of {name!r} should be two whole numbers, got {offsets!r}")
    if offsets[1] - offsets[0] != math.prod(shape) * BYTES[entry["dtype"]]:
        raise RunError(f"{path} is damaged: {name} takes {offsets[1] - offsets[0]} bytes, which is not its shape's")


def _check_no_gap(path: Path, offsets: list[list[int]], body: int) -> None:
    end = 0
    for start, stop in sorted(offsets):
        if start != end:
            raise RunError(f"{path} is damaged: its tensors overlap or leave a hole at byte {end}")
        end = stop
    if end != body:
        raise RunError(f"{path} is damaged: its tensors should take {end} bytes, but {body} follow the header")
