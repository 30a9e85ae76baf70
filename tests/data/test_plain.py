"""Two plain files, side by side: lines end at \\n only, alignment is kept or refused, bad lines named or counted."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clearhead.data import lines
from clearhead.data.ledger import Ledger
from clearhead.data.pair import Pair
from clearhead.data.read import read_pairs
from clearhead.data.settings import PairFiles
from clearhead.errors import DataError

Write = Callable[..., Path]
PLAIN = PairFiles(source="x.en", target="x.de")


def read(folder: Path, *, strict: bool = True, files: PairFiles = PLAIN) -> tuple[list[Pair], Ledger]:
    ledger = Ledger(strict=strict)
    return list(read_pairs(files, folder, ledger)), ledger


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_pairs_come_in_order_with_their_lines(ending: str, write: Write, tmp_path: Path) -> None:
    write("x.en" + ending, "one\ntwo\n\nfour")
    write("x.de" + ending, "eins\nzwei\n\nvier\n")
    pairs, ledger = read(tmp_path, files=PairFiles(source="x.en" + ending, target="x.de" + ending))
    assert pairs == [("one", "eins", 1), ("two", "zwei", 2), ("", "", 3), ("four", "vier", 4)]
    assert (ledger.read, ledger.kept) == (4, 4)


@pytest.mark.parametrize("odd", ["\u2028", "\u2029", "\x85", "\x0c", "\x0b", "\x1c", "\x1d", "\x1e", "\r", "\ufeff"])
def test_only_a_line_feed_ends_a_line(odd: str, write: Write, tmp_path: Path) -> None:
    write("x.en", f"one{odd}one\ntwo\n")
    write("x.de", "eins\nzwei\n")
    pairs, ledger = read(tmp_path)
    assert pairs == [(f"one{odd}one", "eins", 1), ("two", "zwei", 2)]
    assert ledger.noted == {}


@given(rows=st.lists(st.tuples(*[st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]))] * 2)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_lines_are_read_as_they_are_written(rows: list[tuple[str, str]], write: Write, tmp_path: Path) -> None:
    rows = [(source.rstrip("\r"), target.rstrip("\r")) for source, target in rows]
    if rows:
        rows[0] = (rows[0][0].removeprefix("\ufeff"), rows[0][1].removeprefix("\ufeff"))
    write("x.en", "".join(source + "\n" for source, _ in rows))
    write("x.de", "".join(target + "\n" for _, target in rows))
    assert [(pair.source, pair.target) for pair in read(tmp_path)[0]] == rows


def test_carriage_returns_and_byte_order_marks_are_taken_off_and_counted(write: Write, tmp_path: Path) -> None:
    write("x.en", b"\xef\xbb\xbfone\r\ntwo\r\nthree\xef\xbb\xbf\n")
    write("x.de", "eins\nzwei\ndrei\n")
    pairs, ledger = read(tmp_path)
    assert [pair.source for pair in pairs] == ["one", "two", "three\ufeff"]
    assert ledger.as_dict()["noted"] == {
        "byte order mark taken off": {"count": 1, "first": ["x.en:1"]},
        "carriage return at the end of the line taken off": {"count": 2, "first": ["x.en:1", "x.en:2"]},
    }


@pytest.mark.parametrize(
    ("source", "target", "counts"),
    [("a\nb\n", "a\n", (2, 1)), ("a\n", "a\nb\nc", (1, 3)), ("", "a\n", (0, 1)), ("a\nb", "a\nb\n\n", (2, 3))],
)
@pytest.mark.parametrize("strict", [True, False])
def test_unequal_line_counts_are_refused_with_both_counts(
    source: str, target: str, counts: tuple[int, int], strict: bool, write: Write, tmp_path: Path
) -> None:
    write("x.en", source)
    write("x.de", target)
    with pytest.raises(DataError) as caught:
        read(tmp_path, strict=strict)
    assert f"x.en has {counts[0]} lines" in str(caught.value)
    assert f"x.de has {counts[1]}:" in str(caught.value)


BAD = {
    "invalid UTF-8": b"caf\xe9",
    "a NUL character": b"a\0b",
}


@pytest.mark.parametrize(("reason", "line"), BAD.items())
@pytest.mark.parametrize("side", ["x.en", "x.de"])
def test_a_bad_line_is_refused_with_file_and_line(
    reason: str, line: bytes, side: str, write: Write, tmp_path: Path
) -> None:
    write("x.en", "one\ntwo\nthree\n")
    write("x.de", "eins\nzwei\ndrei\n")
    write(side, b"fine\n" + line + b"\nfine\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path)
    assert f"{tmp_path / side}:2: {reason}" in str(caught.value)
    assert 'bad_lines = "skip"' in str(caught.value)


@pytest.mark.parametrize(("reason", "line"), BAD.items())
def test_a_bad_line_can_be_skipped_and_counted(reason: str, line: bytes, write: Write, tmp_path: Path) -> None:
    write("x.en", b"one\n" + line + b"\nthree\n" + line + b"\n")
    write("x.de", b"eins\nzwei\n" + line + b"\n" + line + b"\n")
    pairs, ledger = read(tmp_path, strict=False)
    assert pairs == [("one", "eins", 1)]
    assert ledger.as_dict()["dropped"] == {reason: {"count": 3, "first": ["x.en:2", "x.de:3", "x.en:4"]}}
    assert (ledger.read, ledger.kept) == (4, 1)


def test_utf16_is_recognised(write: Write, tmp_path: Path) -> None:
    write("x.en", "one\n".encode("utf-16"))
    write("x.de", "eins\n")
    with pytest.raises(DataError, match="the file looks like UTF-16"):
        read(tmp_path)


def test_the_place_of_a_bad_byte_is_given(write: Write, tmp_path: Path) -> None:
    write("x.en", b"caf\xe9 noir\n")
    write("x.de", "eins\n")
    with pytest.raises(DataError, match=r"x\.en:1: invalid UTF-8 \(byte 0xe9 at position 4\)"):
        read(tmp_path)


def test_an_endless_line_is_a_bad_line_of_bounded_memory(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "LONGEST_LINE", 64)
    write("x.en", "one\n" + "x" * 1000 + "\nthree\n" + "y" * 63 + "\n" + "z" * 64)
    write("x.de", "eins\nzwei\ndrei\nvier\nfünf")
    pairs, ledger = read(tmp_path, strict=False)
    assert [pair.line for pair in pairs] == [1, 3, 4]
    assert ledger.as_dict()["dropped"] == {"a line of more than 16 MiB": {"count": 2, "first": ["x.en:2", "x.en:5"]}}


@pytest.mark.parametrize("missing", ["x.en", "x.de"])
def test_a_missing_file_is_named(missing: str, write: Write, tmp_path: Path) -> None:
    write("x.de" if missing == "x.en" else "x.en", "one\n")
    with pytest.raises(DataError, match=f"there is no data file .*{missing}"):
        read(tmp_path)


def test_a_folder_is_no_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "x.en").mkdir()
    write("x.de", "eins\n")
    with pytest.raises(DataError, match=r"x\.en cannot be read: Is a directory"):
        read(tmp_path)


def test_a_truncated_archive_is_refused_with_the_line_it_ends_at(write: Write, tmp_path: Path) -> None:
    text = "".join(f"line {number} of many\n" for number in range(5000))
    whole = gzip.compress(text.encode())
    (tmp_path / "x.en.gz").write_bytes(whole[: len(whole) // 2])
    write("x.de", text)
    files = PairFiles(source="x.en.gz", target="x.de")
    for strict in (True, False):
        with pytest.raises(DataError, match=r"x\.en\.gz cannot be unpacked after line [1-9]\d* .*not fully downloaded"):
            read(tmp_path, files=files, strict=strict)


@pytest.mark.parametrize(
    "content", [b"not packed at all\n", gzip.compress(b"one\n")[:-4] + b"\0\0\0\0", b"\x1f\x8b\x08\x00"]
)
def test_a_damaged_archive_is_refused(content: bytes, write: Write, tmp_path: Path) -> None:
    (tmp_path / "x.en.gz").write_bytes(content)
    write("x.de", "eins\n")
    with pytest.raises(DataError, match=r"x\.en\.gz cannot be unpacked after line \d+"):
        read(tmp_path, files=PairFiles(source="x.en.gz", target="x.de"))
