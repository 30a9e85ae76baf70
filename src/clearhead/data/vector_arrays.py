"""Rows of vectors and labels from NumPy's own files, ``.npy`` and ``.npz``; shapes are checked before a row is read.

Shapes: vectors (N, T, F) with lengths (N,) or without, or (L, F) with lengths that add up to L. Nothing is unpickled.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearhead.data.vector_settings import VectorFiles
from clearhead.errors import DataError, nearest

Array = NDArray[Any]
_KINDS = {"vectors": "iuf", "labels": "iuU", "lengths": "iu"}
_WANTED = {"vectors": "numbers", "labels": "whole numbers or strings", "lengths": "whole numbers"}


def read_arrays(files: VectorFiles, folder: Path, *, per_vector: bool) -> Iterator[tuple[Any, Any]]:
    """Vectors and labels of each row as they stand there; see ``vectors.read_vectors``."""
    names = {"vectors": files.vectors, "labels": files.labels, "lengths": files.lengths}
    given = {role: name for role, name in names.items() if name is not None}
    if files.file is None:
        arrays = {role: _checked(_load(folder / name), role, f"{folder / name}") for role, name in given.items()}
        where = str(folder / files.vectors)
    else:
        where = str(folder / files.file)
        arrays = _members(folder / files.file, given)
    ends = _ends(arrays, where)
    yield from _rows(arrays, ends, where, per_vector=per_vector)


def _members(path: Path, given: dict[str, str]) -> dict[str, Array]:
    with _load(path) as archive:
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise DataError(f"{path} is not an .npz archive of arrays")
        for name in given.values():
            if name not in archive.files:
                known = ", ".join(map(repr, archive.files)) or "nothing"
                raise DataError(f"{path} has no array {name!r}{nearest(name, archive.files)}: it holds {known}")
        try:
            return {role: _checked(archive[name], role, f"{path}: {name}") for role, name in given.items()}
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise _unreadable(path, error) from None


def _load(path: Path) -> Any:
    try:
        return np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise DataError(f"there is no data file {path}") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, DataError):
        return error
    if "pickle" in str(error).lower() or "Python objects" in str(error):
        return DataError(
            f"{path} holds Python objects, not an array of numbers: all vectors must have one width, and sequences of "
            "different lengths stand one after another in one array (L, F), with lengths"
        )
    return DataError(f"{path} cannot be read as NumPy arrays: {error}")


def _checked(array: Array, role: str, where: str) -> Array:
    if not isinstance(array, np.ndarray) or array.dtype.kind not in _KINDS[role]:
        kind = array.dtype if isinstance(array, np.ndarray) else "several arrays"
        raise DataError(f"{where}: expected {role} to be {_WANTED[role]}, got {kind}")
    dimensions = {"vectors": (2, 3), "labels": (1, 2), "lengths": (1,)}[role]
    if array.ndim not in dimensions:
        expected = " or ".join(map(str, dimensions))
        raise DataError(f"{where}: expected {role} with {expected} dimensions, got shape {array.shape}")
    return array


def _ends(arrays: dict[str, Array], where: str) -> NDArray[np.int64] | None:
    """Behind the last vector of each row: in its own row of (N, T, F), or in (L, F)."""
    vectors, lengths = arrays["vectors"], arrays.get("lengths")
    if lengths is None:
        if vectors.ndim == 2:
            raise DataError(
                f"{where}: vectors of shape {vectors.shape} do not say where a sequence ends: expected (N, T, F), or "
                "lengths beside them"
            )
        return None
    if len(lengths) and int(lengths.min()) < 0:
        raise DataError(f"{where}: row {int(lengths.argmin()) + 1} has the length {int(lengths.min())}")
    if vectors.ndim == 3:
        if len(lengths) != len(vectors) or (len(lengths) and int(lengths.max()) > vectors.shape[1]):
            raise DataError(
                f"{where}: expected a length of at most {vectors.shape[1]} for each of {len(vectors)} rows, got "
                f"{len(lengths)} lengths up to {int(lengths.max()) if len(lengths) else 0}"
            )
        return np.asarray(lengths, dtype=np.int64)
    ends = np.cumsum(lengths, dtype=np.int64)
    if (total := int(ends[-1]) if len(ends) else 0) != len(vectors):
        raise DataError(f"{where}: the lengths add up to {total}, but there are {len(vectors)} vectors")
    return ends


def _rows(
    arrays: dict[str, Array], ends: NDArray[np.int64] | None, where: str, *, per_vector: bool
) -> Iterator[tuple[Any, Any]]:
    vectors, labels = arrays["vectors"], arrays["labels"]
    rows = len(vectors) if ends is None else len(ends)
    flat = vectors.ndim == 2
    expected = (vectors.shape[:1] if flat else vectors.shape[:2]) if per_vector else (rows,)
    if labels.shape != expected:
        what = "a label for every vector" if per_vector else "one label a sequence"
        raise DataError(f"{where}: expected {what}, an array of shape {expected}, got {labels.shape}")
    begin = 0
    for row in range(rows):
        end = vectors.shape[1] if ends is None else int(ends[row])
        own = slice(begin, end) if flat else slice(0, end)
        found = labels[row] if not per_vector else labels[own] if flat else labels[row][own]
        yield vectors[own] if flat else vectors[row][own], found if per_vector else found.item()
        begin = end
