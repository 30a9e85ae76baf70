"""Documents from files, lines, paragraphs and tables: nothing lost, nothing shifted, every line accounted for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clearhead.data.document_settings import DocumentData, DocumentFiles, TailSplit
from clearhead.data.documents import PARTS, Piece, read_documents, split_part
from clearhead.data.ledger import Ledger
from clearhead.errors import DataError

TEXT = "one\ntwo\u2028too\n\n \nthree\n\n\nfour\nfive"


def files(*names: str, **more: Any) -> DocumentFiles:
    return DocumentFiles.model_validate({"files": list(names)} | more)


def joined(pieces: list[Piece]) -> list[str]:
    texts, text = [], ""
    for piece in pieces:
        text += piece.text
        if piece.ends:
            texts.append(text)
            text = ""
    assert text == "", "the last document never ended"
    return texts


def read(settings: DocumentFiles, folder: Path, *, strict: bool = True) -> tuple[list[str], Ledger]:
    ledger = Ledger(strict=strict)
    return joined(list(read_documents(settings, folder, ledger))), ledger


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("file", [TEXT + "\n"]),
        ("line", ["one", "two\u2028too", "three", "four", "five"]),
        ("paragraph", ["one\ntwo\u2028too", "three", "four\nfive"]),
    ],
)
def test_what_a_document_is(form: str, expected: list[str], tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8", newline="\n")
    found, ledger = read(files("text.txt", documents=form), tmp_path)
    assert found == expected
    assert ledger.kept == {"file": 9, "line": 5, "paragraph": 5}[form]


def test_patterns_are_read_in_the_order_of_names_and_unpacked(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("b\n")
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(b"c"))
    (tmp_path / "a.txt").write_text("a\n")
    assert read(files("*.txt*"), tmp_path)[0] == ["a\n", "b\n", "c\n"]
    assert read(files("c.txt.gz", str(tmp_path / "[ab].txt")), tmp_path)[0] == ["c\n", "a\n", "b\n"]
    with pytest.raises(DataError, match=r"no file in .* matches '\*\.md'"):
        read(files("*.md"), tmp_path)


def test_a_column_of_a_table_holds_a_document_in_each_row(tmp_path: Path) -> None:
    rows = [{"n": 1, "text": "two\nlines"}, {"n": 2, "text": " "}, {"n": 3, "text": "three"}]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found, ledger = read(files("texts.jsonl", column="text"), tmp_path)
    assert found == ["two\nlines", "three"]
    assert ledger.as_dict()["dropped"] == {"a blank document": {"count": 1, "first": ["texts.jsonl:2"]}}
    (tmp_path / "texts.csv").write_text('"a","b, ""c""\nd"\n')
    assert read(files("texts.csv", column="2", header=False), tmp_path)[0] == ['b, "c"\nd']
    with pytest.raises(DataError, match="expected 'txt' \\(did you mean 'text'\\?\\)"):
        read(files("texts.jsonl", column="txt"), tmp_path)


def test_parquet_columns(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"text": ["one", "two\nlines"]}), tmp_path / "texts.parquet")
    assert read(files("texts.parquet", column="text"), tmp_path)[0] == ["one", "two\nlines"]


@pytest.mark.parametrize("form", ["file", "line", "paragraph"])
def test_a_bad_line_is_refused_with_its_place_or_left_out_and_counted(form: str, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_bytes(b"good\n\xff bad\nnul\0\ngood too\n")
    with pytest.raises(DataError, match=r"text\.txt:2: invalid UTF-8"):
        read(files("text.txt", documents=form), tmp_path)
    found, ledger = read(files("text.txt", documents=form), tmp_path, strict=False)
    assert "".join(found).replace("\n", "") == "goodgood too"
    assert (ledger.read, ledger.kept) == (4, 2)


def test_an_empty_file_is_no_document(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "text.txt").write_text("text\n")
    found, ledger = read(files("empty.txt", "text.txt"), tmp_path)
    assert found == ["text\n"]
    assert ledger.as_dict()["noted"]["an empty file"]["count"] == 1


@pytest.mark.parametrize("form", ["file", "line", "paragraph"])
def test_the_parts_of_a_split_are_the_whole_and_share_nothing(form: str, tmp_path: Path) -> None:
    lines = [f"line {number} {'x' * (number % 7)}" for number in range(1, 60)]
    (tmp_path / "text.txt").write_text("\n\n".join(lines) + "\n")
    settings, split = files("text.txt", documents=form), TailSplit(valid=0.2, test=0.1)
    parts = [joined(list(split_part(settings, tmp_path, Ledger(), split, part))) for part in PARTS]
    whole, _ = read(settings, tmp_path)
    everything = "".join("".join(part) for part in parts)
    assert everything == "".join(whole)
    shares = [sum(map(len, part)) / len(everything) for part in parts]
    assert shares == pytest.approx([0.7, 0.2, 0.1], abs=0.02)
    if form == "file":
        assert [len(part) for part in parts] == [1, 1, 1]
        assert len(parts[0][0]) == int(len(everything) * (1 - 0.2 - 0.1))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"files": []}, "at least 1"),
        ({"files": ["a.jsonl"]}, "'a.jsonl' is a table: say which column"),
        ({"files": ["a.txt"], "header": False}, "no column is given"),
        ({"files": ["a.csv"], "column": "text", "documents": "line"}, "each row is a document"),
        ({"files": ["a.csv"], "column": "text", "header": False}, "must be a column number"),
        ({"files": ["a.pdf"], "column": "text"}, "cannot tell what kind of table"),
    ],
)
def test_impossible_files_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        DocumentFiles.model_validate(wrong)


def test_impossible_data_is_refused() -> None:
    train = {"files": ["a.txt"]}
    with pytest.raises(ValidationError, match="valid is given as files and as a share"):
        DocumentData.model_validate({"train": train, "valid": train, "split": {"valid": 0.1}})
    with pytest.raises(ValidationError, match="must leave some text to train on"):
        DocumentData.model_validate({"train": train, "split": {"valid": 0.6, "test": 0.4}})
    with pytest.raises(ValidationError, match="more than the 4 places"):
        DocumentData.model_validate({"train": train, "length": 4, "offsets": 5})
