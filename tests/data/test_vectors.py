"""Sequences of vectors from every kind of file, and what becomes of rows and arrays that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from clearhead.data.ledger import Ledger
from clearhead.data.vector_settings import VectorFiles
from clearhead.data.vectors import VectorRow, read_vectors
from clearhead.errors import DataError

Save = Callable[..., VectorFiles]
FIRST, SECOND = [[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]


def read(
    files: VectorFiles, folder: Path, *, per_vector: bool, strict: bool = True, width: int | None = None
) -> tuple[list[VectorRow], Ledger]:
    ledger = Ledger(strict=strict)
    return list(read_vectors(files, folder, ledger, per_vector=per_vector, width=width)), ledger


def as_npz(folder: Path, vectors: Any, labels: Any, lengths: Any = None) -> VectorFiles:
    arrays = {"x": vectors, "y": labels} | ({} if lengths is None else {"n": lengths})
    np.savez(folder / "a.npz", **{name: np.asarray(value) for name, value in arrays.items()})
    return VectorFiles(file="a.npz", vectors="x", labels="y", lengths=None if lengths is None else "n")


def as_npy(folder: Path, vectors: Any, labels: Any, lengths: Any = None) -> VectorFiles:
    for name, value in (("x.npy", vectors), ("y.npy", labels), ("n.npy", lengths)):
        if value is not None:
            np.save(folder / name, np.asarray(value))
    return VectorFiles(vectors="x.npy", labels="y.npy", lengths=None if lengths is None else "n.npy")


def as_parquet(folder: Path, vectors: Any, labels: Any) -> VectorFiles:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"x": vectors, "y": labels}), folder / "a.parquet")
    return VectorFiles(file="a.parquet", vectors="x", labels="y")


@pytest.mark.parametrize("save", [as_npz, as_npy])
@pytest.mark.parametrize(
    ("vectors", "lengths", "tags"),
    [
        ([*FIRST, *SECOND], [1, 2], ["a", "b", "c"]),
        ([[*FIRST[0:1], [0.0] * 3], SECOND], [1, 2], [["a", "-"], ["b", "c"]]),
    ],
)
def test_arrays_one_after_another_or_side_by_side(
    tmp_path: Path, save: Save, vectors: Any, lengths: list[int], tags: Any
) -> None:
    rows, ledger = read(save(tmp_path, vectors, tags, lengths), tmp_path, per_vector=True)
    assert [(row.vectors.tolist(), row.labels, row.row) for row in rows] == [
        (FIRST, ("a",), 1),
        (SECOND, ("b", "c"), 2),
    ]
    rows, ledger = read(save(tmp_path, vectors, [7, -1], lengths), tmp_path, per_vector=False)
    assert [(row.vectors.tolist(), row.labels) for row in rows] == [(FIRST, ("7",)), (SECOND, ("-1",))]
    assert ledger.read == ledger.kept == 2


def test_without_lengths_every_vector_is_real(tmp_path: Path) -> None:
    rows, _ = read(as_npz(tmp_path, np.ones((2, 4, 3), dtype=np.uint8), [0, 1]), tmp_path, per_vector=False)
    assert [row.vectors.shape for row in rows] == [(4, 3), (4, 3)]
    assert all(row.vectors.dtype == np.float32 for row in rows)


def test_parquet_lists(tmp_path: Path) -> None:
    rows, _ = read(as_parquet(tmp_path, [FIRST, SECOND], [["a"], ["b", "c"]]), tmp_path, per_vector=True)
    assert [(row.vectors.tolist(), row.labels) for row in rows] == [(FIRST, ("a",)), (SECOND, ("b", "c"))]
    rows, _ = read(as_parquet(tmp_path, [FIRST, SECOND], [3, 4]), tmp_path, per_vector=False)
    assert [row.labels for row in rows] == [("3",), ("4",)]


@pytest.mark.parametrize(
    ("vectors", "label", "said"),
    [
        ([[1.0, 2.0, 3.0], [1.0, 2.0]], "a", "vectors of differing width (vector 2 has 2 numbers, expected 3)"),
        ([[1.0, 2.0]], "a", "vectors of differing width (vector 1 has 2 numbers, expected 3)"),
        ([[1.0, float("nan"), 3.0]], "a", "a number that is not finite (number 2 of vector 1 is nan)"),
        ([[1.0, 2.0, 3.0], [1.0, 2.0, float("-inf")]], "a", "number 3 of vector 2 is -inf"),
        ([[1.0, None, 3.0]], "a", "a number that is not finite (number 2 of vector 1 is nan)"),
        ([None], "a", "vectors that are no numbers (vector 1 should be a list of numbers, got NoneType)"),
        ([], "a", "a sequence without vectors"),
        (None, "a", "a sequence without vectors"),
        (FIRST, None, "a missing label"),
        (FIRST, " ", "a missing label"),
    ],
)
def test_a_row_that_cannot_be_used_is_refused_with_its_number_or_counted(
    tmp_path: Path, vectors: Any, label: Any, said: str
) -> None:
    files = as_parquet(tmp_path, [SECOND, vectors, FIRST], ["b", label, "b"])
    with pytest.raises(DataError) as caught:
        read(files, tmp_path, per_vector=False)
    assert "a.parquet:2: " in str(caught.value) and said in str(caught.value)
    rows, ledger = read(files, tmp_path, per_vector=False, strict=False)
    assert [row.row for row in rows] == [1, 3]
    assert (ledger.read, ledger.kept) == (3, 2)


def test_nan_in_an_array_is_refused_with_its_row(tmp_path: Path) -> None:
    vectors = np.ones((3, 2, 2))
    vectors[2, 1, 0] = np.nan
    with pytest.raises(DataError, match=r"a\.npz:3: a number that is not finite \(number 1 of vector 2 is nan\)"):
        read(as_npz(tmp_path, vectors, [0, 1, 1]), tmp_path, per_vector=False)


def test_another_width_than_the_wanted_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"a\.npz:1: vectors of differing width \(the vectors have 3 numbers, expected 4"
    ):
        read(as_npz(tmp_path, [FIRST], [0]), tmp_path, per_vector=False, width=4)


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a label for every vector, an array of shape \(1, 2\), got \(1,\)"):
        read(as_npz(tmp_path, [SECOND], [0]), tmp_path, per_vector=True)
    with pytest.raises(DataError, match=r"expected one label a sequence, an array of shape \(1,\), got \(1, 2\)"):
        read(as_npz(tmp_path, [SECOND], [[0, 1]]), tmp_path, per_vector=False)
    with pytest.raises(DataError, match=r"a\.parquet:1: not as many labels as vectors \(expected 2, got 1\)"):
        read(as_parquet(tmp_path, [SECOND], [["a"]]), tmp_path, per_vector=True)


@pytest.mark.parametrize(
    ("vectors", "lengths", "said"),
    [
        ([*FIRST, *SECOND], None, "do not say where a sequence ends"),
        ([*FIRST, *SECOND], [1, 1], "the lengths add up to 2, but there are 3 vectors"),
        ([*FIRST, *SECOND], [4, -1], "row 2 has the length -1"),
        ([SECOND], [3], "a length of at most 2 for each of 1 rows, got 1 lengths up to 3"),
        ([["a", "b"]], [1], "expected vectors to be numbers, got <U1"),
        ([1.0, 2.0], [2], "expected vectors with 2 or 3 dimensions, got shape (2,)"),
        ([[1j, 2j]], [1], "expected vectors to be numbers, got complex128"),
    ],
)
def test_arrays_of_no_meaning_are_refused(tmp_path: Path, vectors: Any, lengths: Any, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read(as_npz(tmp_path, vectors, [0], lengths), tmp_path, per_vector=False)
    assert said in str(caught.value)


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    ragged = np.array([np.ones((1, 3)), np.ones((2, 3))], dtype=object)
    with pytest.raises(DataError, match="holds Python objects, not an array of numbers"):
        read(as_npz(tmp_path, ragged, [0, 1]), tmp_path, per_vector=False)
    with pytest.raises(DataError, match="holds Python objects"):
        read(as_npy(tmp_path, ragged, [0, 1]), tmp_path, per_vector=False)


@pytest.mark.parametrize("name", ["a.npz", "a.parquet"])
def test_files_that_are_missing_or_no_such_files_are_named(tmp_path: Path, name: str) -> None:
    files = VectorFiles(file=name, vectors="x", labels="y")
    with pytest.raises(DataError, match="there is no data file"):
        read(files, tmp_path, per_vector=False)
    (tmp_path / name).write_bytes(b"PK\x03\x04 no such thing")
    with pytest.raises(DataError, match=name):
        read(files, tmp_path, per_vector=False)


def test_a_missing_array_or_column_names_the_nearest(tmp_path: Path) -> None:
    as_npz(tmp_path, [FIRST], [0])
    files = VectorFiles(file="a.npz", vectors="xs", labels="y")
    with pytest.raises(DataError, match=r"a\.npz has no array 'xs' \(did you mean 'x'\?\): it holds 'x', 'y'"):
        read(files, tmp_path, per_vector=False)
    as_parquet(tmp_path, [FIRST], [0])
    with pytest.raises(DataError, match=r"a\.parquet has no column 'xs' \(did you mean 'x'\?\)"):
        read(VectorFiles(file="a.parquet", vectors="xs", labels="y"), tmp_path, per_vector=False)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"file": "a.npx"}, "did you mean '.npz'?"),
        ({}, "without file, vectors, labels and lengths are .npy files; got 'x'"),
        ({"file": "a.parquet", "lengths": "n"}, "a list in Parquet knows its own length"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, str], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        VectorFiles.model_validate({"vectors": "x", "labels": "y"} | settings)
    assert said in str(caught.value)
