"""Labelled texts are read as the format has it; what cannot be read is one sentence with file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from clearhead.data.label_settings import HeldOutFile, LabelledFile
from clearhead.data.labelled import LabelledText, Meaning, read_labelled
from clearhead.data.labels import Labels, read_label_names
from clearhead.data.ledger import Ledger
from clearhead.errors import DataError

ONE, MANY = Meaning(None, None), Meaning(",", None)
FEELINGS = ("joy", "anger", "7")


def read(path: Path, meaning: Meaning = ONE, ledger: Ledger | None = None, **columns: object) -> list[LabelledText]:
    file = LabelledFile.model_validate({"file": path.name, **columns})
    return list(read_labelled(file, path.parent, meaning, ledger or Ledger()))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", newline="")
    return path


def test_csv_has_quotes_commas_and_line_breaks_inside(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"one, ""two""\nthree",a\nfour,b\n')
    assert read(path) == [LabelledText('one, "two"\nthree', ("a",), 2), LabelledText("four", ("b",), 4)]


def test_tsv_has_no_quotes(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", '"one\ta\nit"s\tb\n')
    rows = read(path, header=False, text="1", label="2")
    assert rows == [LabelledText('"one', ("a",), 1), LabelledText('it"s', ("b",), 2)]


def test_compressed_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(b"text\tlabel\nx\ty\n"))
    assert read(tmp_path / "a.tsv.gz") == [LabelledText("x", ("y",), 2)]


@pytest.mark.parametrize(
    ("field", "labels"),
    [("joy", ("joy",)), (0, ("0",)), ("", ()), (None, ()), ([], ()), (["joy", 2], ("joy", "2")), ("a, b", ("a", "b"))],
)
def test_json_lines_have_names_numbers_and_lists(tmp_path: Path, field: object, labels: tuple[str, ...]) -> None:
    path = write(tmp_path / "a.jsonl", json.dumps({"text": "x", "label": field}) + "\n")
    assert read(path, MANY) == [LabelledText("x", labels, 1)]


def test_parquet_has_the_same(tmp_path: Path) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"text": ["x", "y"], "label": [[1, 0], []]}), tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", Meaning(",", FEELINGS))
    assert found == [LabelledText("x", ("anger", "joy"), 1), LabelledText("y", (), 2)]


def test_a_repeated_label_counts_once(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.tsv", "text\tlabel\nx\ta,b,a\n"), MANY)[0].labels == ("a", "b")


def test_numbers_stand_for_the_lines_of_the_file_of_labels(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "text\tlabel\nx\t1\ny\tjoy\nz\t7\n")
    assert [row.labels for row in read(path, Meaning(None, FEELINGS))] == [("anger",), ("joy",), ("7",)]


@pytest.mark.parametrize(
    ("row", "meaning", "said"),
    [
        ("x\t\n", ONE, "a.tsv:2: a missing label (expected exactly one, got 0)"),
        (
            "x\tjoi\n",
            Meaning(None, FEELINGS),
            "a.tsv:2: a label that the file of labels lacks ('joi' (did you mean 'joy'?)",
        ),
        ("x\t3\n", Meaning(None, FEELINGS), "a.tsv:2: a label that the file of labels lacks ('3'"),
        ("x\n", ONE, "a.tsv:2: a wrong number of columns"),
    ],
)
def test_what_cannot_be_read_is_said_with_file_and_line(tmp_path: Path, row: str, meaning: Meaning, said: str) -> None:
    path = write(tmp_path / "a.tsv", "text\tlabel\n" + row)
    with pytest.raises(DataError) as caught:
        read(path, meaning)
    assert said in str(caught.value)


@pytest.mark.parametrize("record", [{"label": "a"}, {"text": 3, "label": "a"}, {"text": "x", "label": {"a": 1}}, [1]])
def test_skipped_records_are_counted(tmp_path: Path, record: object) -> None:
    ledger = Ledger(strict=False)
    path = write(
        tmp_path / "a.jsonl", json.dumps(record) + '\n{"text": "x", "label": true}\n{"text": "x", "label": "a"}\n'
    )
    assert len(read(path, ledger=ledger)) == 1
    assert (ledger.read, ledger.kept) == (3, 1)


def test_one_label_may_not_be_two(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl:1: more than one label \(expected exactly one, got 2\)"):
        read(write(tmp_path / "a.jsonl", '{"text": "x", "label": ["a", "b"]}\n'))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("joy\n\nanger\n", ":2: expected the name of a label, got a blank line"),
        ("joy\nanger\njoy\n", ":3: the label 'joy' stands in line 1, too"),
        ("\n", " is empty"),
    ],
)
def test_a_file_of_labels_is_checked(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        read_label_names(write(tmp_path / "labels.txt", content))
    assert said in str(caught.value)


def test_labels_stand_by_size_and_alphabet_or_as_they_are_named() -> None:
    rows = [("b",), ("10",), ("2",), ("a", "2")]
    assert Labels.of(rows, None) == Labels(("2", "10", "a", "b"), (2, 1, 1, 1))
    assert Labels.of(rows, ("b", "z")) == Labels(("b", "z"), (1, 0))


@pytest.mark.parametrize("table", [{}, {"file": "a.csv", "share": 0.1}, {"file": "a.doc"}, {"share": 1.0}])
def test_validation_data_is_a_file_or_a_share(table: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"and not both|cannot tell what|less than 1"):
        HeldOutFile.model_validate(table)
