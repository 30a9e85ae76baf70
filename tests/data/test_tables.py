"""Tables of pairs: what each format means, and what becomes of records that are none."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clearhead.data.ledger import Ledger
from clearhead.data.pair import Pair
from clearhead.data.read import read_pairs
from clearhead.data.settings import PairFiles
from clearhead.errors import DataError

Write = Callable[..., Path]


def table(name: str, source: str = "en", target: str = "de", *, header: bool = True) -> PairFiles:
    return PairFiles(file=name, source=source, target=target, header=header)


def read(files: PairFiles, folder: Path, *, strict: bool = True) -> tuple[list[Pair], Ledger]:
    ledger = Ledger(strict=strict)
    return list(read_pairs(files, folder, ledger)), ledger


CONTENTS = {
    "x.tsv": "id\tde\ten\n1\teins\tone\n2\t\ttwo\n",
    "x.csv": "id,de,en\n1,eins,one\n2,,two\n",
    "x.jsonl": '{"en": "one", "de": "eins"}\n{"de": "", "en": "two", "id": 2}\n',
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("packed", [False, True])
def test_columns_are_found_by_name(name: str, packed: bool, write: Write, tmp_path: Path) -> None:
    file = name + ".gz" * packed
    write(file, CONTENTS[name])
    pairs, ledger = read(table(file), tmp_path)
    first = 1 if name == "x.jsonl" else 2
    assert pairs == [("one", "eins", first), ("two", "", first + 1)]
    assert ledger.read == 2


@pytest.mark.parametrize(("name", "between"), [("x.tsv", "\t"), ("x.csv", ","), ("x.txt", "\t")])
def test_without_header_columns_are_numbers_from_one(name: str, between: str, write: Write, tmp_path: Path) -> None:
    write(name, between.join(["one", "eins", "cc-by"]) + "\n" + between.join(["two", "zwei", "cc-by"]) + "\n")
    pairs, ledger = read(table(name, "1", "2", header=False), tmp_path)
    assert pairs == [("one", "eins", 1), ("two", "zwei", 2)]
    assert ledger.read == 2
    with pytest.raises(DataError, match=f"{name} has no column 4: its first line has 3 columns"):
        read(table(name, "1", "4", header=False), tmp_path)


def test_tab_separated_text_has_no_quoting(write: Write, tmp_path: Path) -> None:
    write("x.tsv", 'en\tde\n"one, "two\t"eins"\n\'a\'\tb\\tc\n')
    assert read(table("x.tsv"), tmp_path)[0] == [('"one, "two', '"eins"', 2), ("'a'", "b\\tc", 3)]


def test_csv_quotes_hold_commas_quotes_and_line_ends(write: Write, tmp_path: Path) -> None:
    write("x.csv", 'en,de\n"one, ""two""","eins\nzwei"\nthree,drei\n"\u2028","\x0c"\n')
    assert read(table("x.csv"), tmp_path)[0] == [
        ('one, "two"', "eins\nzwei", 2),
        ("three", "drei", 4),
        ("\u2028", "\x0c", 5),
    ]


@given(rows=st.lists(st.tuples(*[st.text(st.characters(exclude_characters="\r\0", exclude_categories=["Cs"]))] * 2)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_csv_as_written_is_csv_as_read(rows: list[tuple[str, str]], write: Write, tmp_path: Path) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("en", "de"), *rows])
    write("x.csv", text.getvalue())
    assert [(pair.source, pair.target) for pair in read(table("x.csv"), tmp_path)[0]] == rows


@given(rows=st.lists(st.tuples(*[st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))] * 2)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_json_as_written_is_json_as_read(rows: list[tuple[str, str]], write: Write, tmp_path: Path) -> None:
    write("x.jsonl", "".join(json.dumps({"en": source, "de": target}) + "\n" for source, target in rows))
    assert [(pair.source, pair.target) for pair in read(table("x.jsonl"), tmp_path)[0]] == rows


def test_windows_files_are_read_and_noted(write: Write, tmp_path: Path) -> None:
    for name in CONTENTS:
        write(name, b"\xef\xbb\xbf" + CONTENTS[name].replace("\n", "\r\n").encode())
        pairs, ledger = read(table(name), tmp_path)
        assert [(pair.source, pair.target) for pair in pairs] == [("one", "eins"), ("two", "")]
        assert ledger.noted["byte order mark taken off"].count == 1
        assert ledger.noted["carriage return at the end of the line taken off"].count in (2, 3)


def test_blank_lines_are_blank_pairs(write: Write, tmp_path: Path) -> None:
    for name in CONTENTS:
        write(name, CONTENTS[name] + "\n")
        pairs, ledger = read(table(name), tmp_path)
        assert pairs[-1][:2] == ("", "")
        assert ledger.read == 3


BAD = [
    ("x.jsonl", b'{"en": "one", "de": "ei\n', "broken JSON"),
    ("x.jsonl", b"[" * 100_000 + b"\n", "broken JSON"),
    ("x.jsonl", b'["one", "eins"]\n', "a line that is no JSON object"),
    ("x.jsonl", b'{"en": "one"}\n', "a missing field"),
    ("x.jsonl", b'{"en": "one", "de": 7}\n', "a value that is no text"),
    ("x.jsonl", b'{"en": null, "de": "eins"}\n', "a value that is no text"),
    ("x.jsonl", b'{"en": "a\\u0000b", "de": "eins"}\n', "a NUL character"),
    ("x.jsonl", b'{"en": "a\\ud800b", "de": "eins"}\n', "a lone surrogate"),
    ("x.jsonl", b'{"en": "a\0b", "de": "eins"}\n', "a NUL character"),
    ("x.jsonl", b'{"en": "caf\xe9", "de": "eins"}\n', "invalid UTF-8"),
    ("x.tsv", b"3\tdrei\n", "a wrong number of columns"),
    ("x.tsv", b"3\tdrei\tthree\tmore\n", "a wrong number of columns"),
    ("x.tsv", b"3\tdrei\tcaf\xe9\n", "invalid UTF-8"),
    ("x.tsv", b"3\tdr\0ei\tthree\n", "a NUL character"),
    ("x.csv", b"3,drei\n", "a wrong number of columns"),
    ("x.csv", b"3,drei,three,more\n", "a wrong number of columns"),
    ("x.csv", b'3,"drei,three\n', "broken CSV"),
    ("x.csv", b'3,"drei"x,three\n', "broken CSV"),
    ("x.csv", b"3,drei,caf\xe9\n", "invalid UTF-8"),
    ("x.csv", b'3,"dr\nei\0",three\n', "a NUL character"),
]


@pytest.mark.parametrize(("name", "record", "reason"), BAD)
def test_a_bad_record_is_refused_or_counted(
    name: str, record: bytes, reason: str, write: Write, tmp_path: Path
) -> None:
    write(name, CONTENTS[name].encode() + record)
    line = CONTENTS[name].count("\n") + 1
    with pytest.raises(DataError) as caught:
        read(table(name), tmp_path)
    assert f"{tmp_path / name}:{line}: {reason}" in str(caught.value)
    pairs, ledger = read(table(name), tmp_path, strict=False)
    assert [(pair.source, pair.target) for pair in pairs] == [("one", "eins"), ("two", "")]
    assert ledger.as_dict()["dropped"] == {reason: {"count": 1, "first": [f"{name}:{line}"]}}


@pytest.mark.parametrize(("name", "record", "reason"), [case for case in BAD if b'"drei,' not in case[1]])
def test_reading_goes_on_after_a_bad_record(
    name: str, record: bytes, reason: str, write: Write, tmp_path: Path
) -> None:
    good = CONTENTS[name].encode().splitlines(keepends=True)[-1]
    write(name, CONTENTS[name].encode() + record + good)
    pairs, ledger = read(table(name), tmp_path, strict=False)
    assert len(pairs) == 3
    assert list(ledger.dropped) == [reason]
    assert ledger.kept == 3


def test_an_unclosed_quotation_mark_does_not_gather_the_file(write: Write, tmp_path: Path) -> None:
    write("x.csv", 'en,de\none,"eins\n' + "two,zwei\n" * 40_000)
    pairs, ledger = read(table("x.csv"), tmp_path, strict=False)
    assert ledger.dropped["broken CSV"].first == ["x.csv:2"]
    assert len(pairs) > 20_000
    with pytest.raises(DataError, match=r"x\.csv:2: broken CSV \(field larger than field limit"):
        read(table("x.csv"), tmp_path)


def test_a_bad_first_line_without_header_is_a_bad_line_only(write: Write, tmp_path: Path) -> None:
    write("x.tsv", b"caf\xe9\tkaffee\none\teins\n")
    pairs, ledger = read(table("x.tsv", "1", "2", header=False), tmp_path, strict=False)
    assert pairs == [("one", "eins", 2)]
    assert list(ledger.dropped) == ["invalid UTF-8"]


@pytest.mark.parametrize("name", ["x.tsv", "x.csv"])
def test_a_column_that_is_not_there_is_refused_with_those_that_are(name: str, write: Write, tmp_path: Path) -> None:
    write(name, CONTENTS[name].replace("en", "english"))
    with pytest.raises(DataError, match=r"has no column 'englsh' \(did you mean 'english'\?\).*'id', 'de', 'english'"):
        read(table(name, "englsh"), tmp_path)
    write(name, CONTENTS[name].replace("id", "en"))
    with pytest.raises(DataError, match="has more than one column 'en'"):
        read(table(name), tmp_path)


@pytest.mark.parametrize("name", ["x.tsv", "x.csv"])
@pytest.mark.parametrize(
    ("content", "sentence"), [(b"", "is empty"), (b"en\tcaf\xe9\n", ":1: invalid UTF-8 in the names")]
)
def test_a_header_that_is_none_is_refused(
    name: str, content: bytes, sentence: str, write: Write, tmp_path: Path
) -> None:
    write(name, content)
    for strict in (True, False):
        with pytest.raises(DataError, match=sentence):
            read(table(name), tmp_path, strict=strict)


def test_a_missing_field_is_explained(write: Write, tmp_path: Path) -> None:
    write("x.jsonl", '{"English": "one", "de": "eins"}\n')
    with pytest.raises(DataError, match=r"expected 'english' \(did you mean 'English'\?\), got 'English', 'de'"):
        read(table("x.jsonl", "english"), tmp_path)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"file": "x.xlsx"}, "cannot tell what kind of table 'x.xlsx' is"),
        ({"file": "x.parquet.gz"}, "cannot tell what kind of table"),
        ({"file": "x.tsvv"}, r"did you mean '\.tsv'\?"),
        ({"file": "x.jsonl", "header": False}, "names its fields itself"),
        ({"file": "x.tsv", "header": False}, "must be a column number from \"1\", not 'en'"),
        ({"file": "x.tsv", "header": False, "source": "0", "target": "1"}, "not '0'"),
        ({"header": False}, "no file is given"),
        ({"source": ""}, "at least 1 character"),
        ({"sorce": "x"}, "Extra inputs"),
    ],
)
def test_impossible_files_are_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        PairFiles.model_validate({"source": "en", "target": "de"} | wrong)
