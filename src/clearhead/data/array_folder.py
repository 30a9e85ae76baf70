"""A folder of raw little-endian arrays with a page that says what they are: how a prepared corpus lies on the disk.

``corpus.json`` names each array's type and shape beside whatever else there is to tell; ``NAME.bin`` holds it. Arrays
are memory-mapped when they are opened, so opening costs nothing and holds nothing in memory.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from clearhead.errors import RunError

PAGE = "corpus.json"
Arrays = dict[str, NDArray[Any]]


def write_array(folder: Path, name: str, array: NDArray[Any]) -> None:
    """Write one array whole."""
    with (folder / f"{name}.bin").open("wb") as file:
        file.write(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes())
        flush(file)


def write_page(folder: Path, shapes: Mapping[str, tuple[str, tuple[int, ...]]], page: Mapping[str, Any]) -> None:
    """Write ``corpus.json``: type and shape of every array, and ``page``, whose ``made_of`` gives the fingerprint."""
    made_of = json.dumps(page["made_of"], sort_keys=True).encode()
    table = {
        "fingerprint": hashlib.sha256(made_of).hexdigest(),
        "arrays": {name: {"dtype": dtype, "shape": list(shape)} for name, (dtype, shape) in shapes.items()},
        **page,
    }
    with (folder / PAGE).open("w", encoding="utf-8", newline="\n") as file:
        json.dump(table, file, indent=1, ensure_ascii=False)
        file.write("\n")
        flush(file)


def open_arrays(folder: Path, kind: str, format: int) -> tuple[Arrays, dict[str, Any]]:
    """The arrays of a folder, and its page.

    Raises:
        RunError: the folder is no prepared corpus of this ``kind`` and ``format``, or a file of it is missing or has
            the wrong size; the message names it.
    """
    try:
        page = json.loads((folder / PAGE).read_text(encoding="utf-8"))
        if (page["kind"], page["format"]) != (kind, format):
            raise RunError(
                f"{folder} holds a corpus of {page['kind']}, format {page['format']}; expected one of {kind}, format "
                f"{format}: prepare it anew"
            )
        described = page["arrays"].items()
        return {name: _map(folder / f"{name}.bin", each["dtype"], each["shape"]) for name, each in described}, page
    except FileNotFoundError as error:
        raise RunError(f"{folder} is not a prepared corpus: {Path(error.filename).name} is missing") from error
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError) as error:
        raise RunError(f"{folder / PAGE} is damaged: {error}") from error


def flush(file: IO[Any]) -> None:
    """See to it that what was written is on the disk."""
    file.flush()
    os.fsync(file.fileno())


def _map(path: Path, dtype: str, shape: list[int]) -> NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.hasobject or kind.kind not in "iuf" or any(size < 0 for size in shape):
        raise ValueError(f"{path.name} should hold numbers, not {dtype!r} of shape {shape}")
    expected, found = math.prod(shape) * kind.itemsize, path.stat().st_size
    if found != expected:
        raise RunError(f"{path} has {found} bytes, expected {expected}: it is damaged, prepare it anew")
    if not expected:
        return np.zeros(shape, kind)  # nothing can be mapped of nothing
    # A plain array over the map: numpy's own memmap class makes every slice several times dearer.
    return np.asarray(np.memmap(path, dtype=kind, mode="r", shape=tuple(shape)))
