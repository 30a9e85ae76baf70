"""Parquet: streamed in batches, values checked as bytes, wrong columns and types refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clearhead.data.ledger import Ledger
from clearhead.data.pair import Pair
from clearhead.data.read import read_pairs
from clearhead.data.settings import PairFiles
from clearhead.errors import DataError, MissingExtraError

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
FILES = PairFiles(file="x.parquet", source="en", target="de")


def read(folder: Path, *, strict: bool = True, files: PairFiles = FILES) -> tuple[list[Pair], Ledger]:
    ledger = Ledger(strict=strict)
    return list(read_pairs(files, folder, ledger)), ledger


def save(folder: Path, **columns: object) -> None:
    parquet.write_table(arrow.table(columns), folder / "x.parquet", row_group_size=1000)


@pytest.mark.parametrize("kind", ["string", "large_string", "dictionary"])
def test_rows_come_in_order_over_batches(kind: str, tmp_path: Path) -> None:
    types = {"string": arrow.string(), "large_string": arrow.large_string()}
    kind_of = types.get(kind) or arrow.dictionary(arrow.int32(), arrow.string())
    english, german = [f"one {number}" for number in range(9000)], [f"eins {number % 7}" for number in range(9000)]
    save(tmp_path, id=list(range(9000)), de=arrow.array(german).cast(kind_of), en=arrow.array(english).cast(kind_of))
    pairs, ledger = read(tmp_path)
    assert pairs == list(zip(english, german, range(1, 9001), strict=True))
    assert ledger.read == 9000


def test_bad_values_are_refused_or_counted(tmp_path: Path) -> None:
    broken = arrow.array([b"one", b"caf\xe9", b"a\0b", b"four", None, b"six"]).cast(arrow.binary())
    text = arrow.Array.from_buffers(arrow.string(), len(broken), broken.buffers())
    save(tmp_path, en=text, de=["eins", "zwei", "drei", None, "fünf", "sechs"])
    with pytest.raises(DataError, match=r"x\.parquet:2: invalid UTF-8"):
        read(tmp_path)
    pairs, ledger = read(tmp_path, strict=False)
    assert pairs == [("one", "eins", 1), ("six", "sechs", 6)]
    assert ledger.as_dict()["dropped"] == {
        "invalid UTF-8": {"count": 1, "first": ["x.parquet:2"]},
        "a NUL character": {"count": 1, "first": ["x.parquet:3"]},
        "a value that is no text": {"count": 2, "first": ["x.parquet:4", "x.parquet:5"]},
    }


def test_one_column_may_be_both_sides(tmp_path: Path) -> None:
    save(tmp_path, en=["one", "two"])
    pairs, _ = read(tmp_path, files=PairFiles(file="x.parquet", source="en", target="en"))
    assert pairs == [("one", "one", 1), ("two", "two", 2)]


def test_a_wrong_column_or_type_is_refused(tmp_path: Path) -> None:
    save(tmp_path, en=["one"], german=["eins"])
    with pytest.raises(DataError, match=r"has no column 'de'.*it has \['en', 'german'\]"):
        read(tmp_path)
    save(tmp_path, en=["one"], de=[1])
    with pytest.raises(DataError, match="column 'de' should hold text, but it holds int64"):
        read(tmp_path)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no data file .*x\.parquet"):
        read(tmp_path)
    save(tmp_path, en=["one"], de=["eins"])
    whole = (tmp_path / "x.parquet").read_bytes()
    for content in (b"", b"not parquet at all", whole[:-10]):
        (tmp_path / "x.parquet").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.parquet is not a readable Parquet file"):
            read(tmp_path)


def test_a_page_that_is_damaged_is_refused(tmp_path: Path) -> None:
    save(tmp_path, en=[f"some text {number}" for number in range(3000)], de=["eins"] * 3000)
    whole = bytearray((tmp_path / "x.parquet").read_bytes())
    whole[4:200] = b"\xff" * 196
    (tmp_path / "x.parquet").write_bytes(whole)
    with pytest.raises(DataError, match=r"x\.parquet cannot be read after row \d+"):
        read(tmp_path)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, en=["one"], de=["eins"])
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'clearhead\[parquet\]'"):
        read(tmp_path)
