"""Sequences of vectors with labels, from NumPy arrays or Parquet, as a stream of rows that have been checked.

A vector may be a frame of speech, a patch of an image, a row of a table: it is the input itself, and no token. Arrays
are read without pickle; one that holds Python objects is refused. What a row becomes is not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearhead.data.ledger import Ledger
from clearhead.data.vector_arrays import read_arrays
from clearhead.data.vector_parquet import read_columns
from clearhead.data.vector_settings import VectorFiles

DIFFERING_WIDTH = "vectors of differing width"
NOT_FINITE = "a number that is not finite"
NO_VECTOR = "a sequence without vectors"
LABELS = "not as many labels as vectors"
NOT_NUMBERS = "vectors that are no numbers"
NO_LABEL = "a missing label"


class VectorRow(NamedTuple):
    """``vectors`` (T, F) float32 and their ``labels``, T of them or one for all; ``row``: of its file, from 1."""

    vectors: NDArray[np.float32]
    labels: tuple[str, ...]
    row: int


def read_vectors(
    files: VectorFiles, folder: Path, ledger: Ledger, *, per_vector: bool, width: int | None = None
) -> Iterator[VectorRow]:
    """The rows of ``files``, in order. Every row met, usable or not, adds one to ``ledger.read``.

    ``per_vector``: there is a label for every vector, otherwise one for each sequence. ``width``: what every vector
    must have; that of the first row where it is not given.

    Raises:
        DataError: a file is missing or no such file, an array or column is missing or of the wrong shape, or a row is
            unusable and the ledger is strict. The message names file and row.
        MissingExtraError: a Parquet file, and pyarrow is not installed.
    """
    parquet = files.format == "parquet"
    rows = read_columns(files, folder) if parquet else read_arrays(files, folder, per_vector=per_vector)
    path = vector_paths(files, folder)[0]
    for number, (raw, given) in enumerate(rows, start=1):
        ledger.read += 1
        vectors, reason, detail = checked_vectors(raw, width)
        labels, other, about = _labels(given, len(vectors) if per_vector else None)
        if reason or other:
            ledger.bad(reason or other, path, number, detail if reason else about)
            continue
        width = vectors.shape[1]
        yield VectorRow(vectors, labels, number)


def vector_paths(files: VectorFiles, folder: Path) -> list[Path]:
    """The files that ``files`` speaks of, that of the vectors first."""
    names = [files.file] if files.file is not None else [files.vectors, files.labels, files.lengths]
    return [folder / name for name in names if name is not None]


def checked_vectors(raw: Any, width: int | None) -> tuple[NDArray[np.float32], str, str]:
    """(T, F) float32, and what is wrong with them: a reason and a detail, both empty where nothing is."""
    nothing = np.zeros((0, 0), np.float32)
    if raw is None or len(raw) == 0:
        return nothing, NO_VECTOR, "expected at least one vector"
    if not isinstance(raw, np.ndarray):
        for place, vector in enumerate(raw, start=1):
            if not isinstance(vector, Sequence | np.ndarray) or isinstance(vector, str):
                return nothing, NOT_NUMBERS, f"vector {place} should be a list of numbers, got {type(vector).__name__}"
            expected = len(raw[0]) if width is None else width
            if len(vector) != expected:
                return nothing, DIFFERING_WIDTH, f"vector {place} has {len(vector)} numbers, expected {expected}"
    try:
        vectors = np.asarray(raw, dtype=np.float32)
    except (TypeError, ValueError):
        return nothing, NOT_NUMBERS, "expected lists of numbers"
    if vectors.ndim != 2 or not vectors.shape[1]:
        return nothing, NOT_NUMBERS, f"expected vectors of at least one number, got shape {vectors.shape}"
    if width is not None and vectors.shape[1] != width:
        return nothing, DIFFERING_WIDTH, f"the vectors have {vectors.shape[1]} numbers, expected {width}"
    if not np.isfinite(vectors).all():
        place, feature = np.argwhere(~np.isfinite(vectors))[0]
        return nothing, NOT_FINITE, f"number {feature + 1} of vector {place + 1} is {vectors[place, feature]}"
    return vectors, "", ""


def _labels(raw: Any, count: int | None) -> tuple[tuple[str, ...], str, str]:
    """The names of the labels, or a reason and a detail. ``count``: so many, or one alone where it is None."""
    if isinstance(raw, Sequence | np.ndarray) and not isinstance(raw, str):
        values = list(raw)
        if count is None:
            return (), LABELS, f"expected one label for the whole sequence, got {len(values)}"
    else:
        values = [raw]
        if count is not None:
            return (), LABELS, f"expected a label for each of {count} vectors, got one"
    if count is not None and len(values) != count:
        return (), LABELS, f"expected {count}, got {len(values)}"
    names = tuple(_name(value) for value in values)
    return (names, "", "") if all(names) else ((), NO_LABEL, "expected whole numbers or strings that are not blank")


def _name(value: Any) -> str:
    """A label's name; blank where it has none."""
    if isinstance(value, str):
        return value if value.strip() else ""
    return str(int(value)) if isinstance(value, int | np.integer) else ""
