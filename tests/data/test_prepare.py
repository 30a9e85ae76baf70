"""Preparing: every pair read is kept or dropped for one counted reason, and what comes out depends on the data only."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clearhead.data import duplicates, prepare
from clearhead.data.corpus import PairCorpus
from clearhead.data.prepare import input_fingerprints, prepare_pairs
from clearhead.data.settings import PairData, PairFiles
from clearhead.errors import ConfigurationError, DataError, RunError
from clearhead.text.tokenizer import Tokenizer

Write = Callable[..., Path]
FILES = PairFiles(source="x.en", target="x.de")


def prepared(folder: Path, tokenizer: Tokenizer, out: str = "out", **policies: object) -> PairCorpus:
    settings = PairData.model_validate({"train": FILES} | policies)
    return prepare_pairs(settings, FILES, folder, (tokenizer, tokenizer), folder / out)


def texts(corpus: PairCorpus, tokenizer: Tokenizer) -> list[tuple[str, str]]:
    source, target = corpus.rows(range(len(corpus)))
    return list(zip(tokenizer.decode(source), tokenizer.decode(target), strict=True))  # type: ignore[arg-type]


def test_rows_are_the_pairs_in_order(write: Write, bytewise: Tokenizer, tmp_path: Path) -> None:
    write("x.en", "one house\ntwo  houses\n漢字 </s>\n")
    write("x.de", "ein Haus\n\tzwei Häuser\nschön\n")
    corpus = prepared(tmp_path, bytewise)
    assert texts(corpus, bytewise) == [
        ("one house", "ein Haus"),
        ("two  houses", "\tzwei Häuser"),
        ("漢字 </s>", "schön"),
    ]
    source, target = corpus.rows([2, 0])
    assert bytewise.decode(source) == ["漢字 </s>", "one house"]  # type: ignore[arg-type]
    assert corpus.lengths().tolist()[0] == [len(source[1]), len(target[1])]
    assert corpus.tokens() == tuple(corpus.lengths().sum(0))
    assert corpus.lines([0, 2]).tolist() == [1, 3]


def test_blank_sides_are_dropped_counted_or_refused(write: Write, words: Tokenizer, tmp_path: Path) -> None:
    write("x.en", "a\n\nb\n \t\x0c\u2028\n")
    write("x.de", "a\nb\n\n\n")
    corpus = prepared(tmp_path, words)
    assert len(corpus) == 1
    assert corpus.ledger["dropped"] == {
        "a blank source": {"count": 1, "first": ["x.en:2"]},
        "a blank source and target": {"count": 1, "first": ["x.en:4"]},
        "a blank target": {"count": 1, "first": ["x.de:3"]},
    }
    with pytest.raises(DataError, match=r"x\.en:2: the source is blank"):
        prepared(tmp_path, words, empty="refuse")


@pytest.mark.parametrize("side", [0, 1])
def test_lengths_at_and_over_the_limit(side: int, write: Write, words: Tokenizer, tmp_path: Path) -> None:
    names = ("x.en", "x.de")
    lengths = [1, 8, 9, 10, 900]
    write(names[side], "".join("a " * (length - 1) + "b\n" for length in lengths))
    write(names[1 - side], "c\n" * len(lengths))
    kind = ("source", "target")[side]

    dropped = prepared(tmp_path, words, max_length=9)  # eight words and the end symbol
    assert dropped.lengths()[:, side].tolist() == [1, 8]
    expected = {
        f"a {kind} of more than 9 tokens": {"count": 3, "first": [f"{names[side]}:{line}" for line in (3, 4, 5)]}
    }
    assert dropped.ledger["dropped"] == expected
    assert (dropped.ledger["read"], dropped.ledger["kept"]) == (5, 2)

    cut = prepared(tmp_path, words, max_length=9, too_long="truncate")
    assert cut.lengths()[:, side].tolist() == [1, 8, 8, 8, 8]
    assert cut.ledger["noted"][f"a {kind} cut to 9 tokens"]["count"] == 3
    assert all("b" not in texts(cut, words)[row][side] for row in (2, 3, 4))

    with pytest.raises(
        DataError, match=rf"{names[side]}:3: the {kind} has 10 tokens with its special symbols, max_length is 9"
    ):
        prepared(tmp_path, words, max_length=9, too_long="refuse")


@pytest.mark.parametrize("portion", [3, 1 << 21])
def test_repeated_pairs_are_counted_and_dropped_when_asked(
    portion: int, write: Write, words: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duplicates, "_PORTION", portion)
    monkeypatch.setattr(duplicates, "_CHUNK", 2)
    monkeypatch.setattr(prepare, "_PAIRS_AT_A_TIME", 2)
    write("x.en", "a\nb\na\na\nb c\nb\na\n")
    write("x.de", "c\nd\nc\nd\nd\nd\nc\n")
    kept = prepared(tmp_path, words)
    entry = {"a repeated pair": {"count": 3, "first": ["x.en:3", "x.en:6", "x.en:7"]}}
    assert (len(kept), kept.ledger["noted"], kept.ledger["dropped"]) == (7, entry, {})
    dropped = prepared(tmp_path, words, duplicates="drop")
    assert (dropped.ledger["noted"], dropped.ledger["dropped"], dropped.ledger["kept"]) == ({}, entry, 4)
    assert texts(dropped, words) == [("a", "c"), ("b", "d"), ("a", "d"), ("b c", "d")]
    assert dropped.lines(range(4)).tolist() == [1, 2, 4, 5]
    assert dropped.tokens() == (5, 4)
    assert PairCorpus.open(dropped.folder).lengths().tolist() == dropped.lengths().tolist()
    assert kept.fingerprint != dropped.fingerprint


def test_a_thousand_bad_lines_among_a_thousand_good(write: Write, bytewise: Tokenizer, tmp_path: Path) -> None:
    chance = random.Random(3)
    bad = [
        (b"caf\xe9", "invalid UTF-8"),
        (b"\xed\xa0\x80 lone surrogate", "invalid UTF-8"),
        (b"a\0b", "a NUL character"),
        (b"", "a blank source"),
        (b"  \x0c", "a blank source"),
        (b"x " * 400, "a source of more than 40 tokens"),
    ]
    lines = [(f"good {number}".encode(), "") for number in range(1000)] + [chance.choice(bad) for _ in range(1000)]
    chance.shuffle(lines)
    lines.insert(500, (b"a " * (1 << 18), "a source of more than 40 tokens"))
    write("x.en", b"\n".join(line for line, _ in lines) + b"\n")
    write("x.de", "".join(f"gut {number}\n" for number in range(len(lines))))
    corpus = prepared(tmp_path, bytewise, max_length=40, bad_lines="skip")
    for reason in {reason for _, reason in lines if reason}:
        numbers = [number for number, (_, other) in enumerate(lines, start=1) if other == reason]
        entry = corpus.ledger["dropped"][reason]
        assert entry == {"count": len(numbers), "first": [f"x.en:{number}" for number in numbers[:5]]}
    assert corpus.ledger["read"] == len(lines)
    assert corpus.ledger["kept"] == len(corpus) == 1000

    good = [(line, number) for number, (line, reason) in enumerate(lines) if not reason]
    write("x.en", b"".join(line + b"\n" for line, _ in good))
    write("x.de", "".join(f"gut {number}\n" for _, number in good))
    cleaned = prepared(tmp_path, bytewise, "cleaned", max_length=40)
    for name in ("source.0.bin", "target.0.bin", "starts.0.bin", "lengths.0.bin"):
        assert (cleaned.folder / name).read_bytes() == (corpus.folder / name).read_bytes()


def test_nothing_left_is_refused_with_the_reasons(write: Write, words: Tokenizer, tmp_path: Path) -> None:
    write("x.en", "\n\na a a a\n")
    write("x.de", "a\nb\nc\n")
    sentence = (
        r"no usable pair in .*x\.en and .*x\.de: 3 read, dropped: 2 for a blank source, 1 for a source of more than 3"
    )
    with pytest.raises(DataError, match=sentence):
        prepared(tmp_path, words, max_length=3)
    write("x.en", "")
    write("x.de", "")
    with pytest.raises(DataError, match=r"no usable pair in .*: 0 read$"):
        prepared(tmp_path, words)


def test_the_same_data_give_the_same_files_wherever_they_are(write: Write, words: Tokenizer, tmp_path: Path) -> None:
    folders = [write(f"{place}/x.en", "a b\nc\n").parent for place in ("here", "there")]
    for place in ("here", "there"):
        write(f"{place}/x.de", "d\ne f\n")
    first, second = (prepared(folder, words) for folder in folders)
    names = sorted(path.name for path in first.folder.iterdir())
    assert names == ["corpus.json", "lengths.0.bin", "lines.bin", "source.0.bin", "starts.0.bin", "target.0.bin"]
    for name in names:
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()
    assert first.inputs == input_fingerprints(FILES, folders[1])
    write("there/x.de", "d\ne g\n")
    assert prepared(folders[1], words, "changed").fingerprint != first.fingerprint
    assert prepared(folders[0], words, "shorter", max_length=50).fingerprint != first.fingerprint


def test_files_of_one_name_in_two_folders_both_count(write: Write, words: Tokenizer, tmp_path: Path) -> None:
    write("en/x.txt", "a\n")
    write("de/x.txt", "b\n")
    files = PairFiles(source="en/x.txt", target="de/x.txt")
    corpus = prepare_pairs(PairData(train=files), files, tmp_path, (words, words), tmp_path / "out")
    assert sorted(corpus.inputs) == ["de/x.txt", "en/x.txt"]


def test_a_failure_leaves_what_was_there(write: Write, words: Tokenizer, tmp_path: Path) -> None:
    write("x.en", "a\n")
    write("x.de", "b\n")
    before = prepared(tmp_path, words).fingerprint
    write("x.en", b"caf\xe9\n")
    with pytest.raises(DataError):
        prepared(tmp_path, words)
    assert PairCorpus.open(tmp_path / "out").fingerprint == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "x.de", "x.en"]


def test_an_interrupt_leaves_nothing_half_made(
    write: Write, words: Tokenizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("x.en", "a\n")
    write("x.de", "b\n")

    def interrupt(*_: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "pair_hashes", interrupt)
    with pytest.raises(KeyboardInterrupt):
        prepared(tmp_path, words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.de", "x.en"]


def test_leftovers_of_a_killed_process_are_cleared(write: Write, words: Tokenizer, tmp_path: Path) -> None:
    write("x.en", "a\n")
    write("x.de", "b\n")
    write("out.partial/source.0.bin", "half")
    assert len(prepared(tmp_path, words)) == 1
    assert not (tmp_path / "out.partial").exists()


def test_a_place_that_cannot_be_written_is_named(write: Write, words: Tokenizer, tmp_path: Path) -> None:
    write("x.en", "a\n")
    write("x.de", "b\n")
    write("blocked", "a file, not a folder")
    with pytest.raises(RunError, match=r"the prepared corpus .*blocked.* cannot be written"):
        prepared(tmp_path, words, "blocked/out")


def test_random_segmentations_hold_the_same_rows(write: Write, bytewise: Tokenizer, tmp_path: Path) -> None:
    sentences = ["ein Haus zwei Häuser", "zwei ein Haus", "Häuser " * 6 + "ein"] * 20
    write("x.en", "\n".join(sentences) + "\n")
    write("x.de", "\n".join(reversed(sentences)) + "\n")
    settings = PairData(train=FILES, max_length=30)
    both = (bytewise, bytewise)
    corpora = [
        prepare_pairs(settings, FILES, tmp_path, both, tmp_path / name, samples=3, dropout=0.4, seed=seed)
        for name, seed in (("one", 1), ("same", 1), ("other", 2))
    ]
    rows = [[row.tolist() for row in corpora[0].rows(range(60), sample)[0]] for sample in range(3)]
    assert rows[0] != rows[1] != rows[2]
    for sample in range(3):
        assert bytewise.decode(rows[sample]) == [sentence.rstrip() for sentence in sentences]
        assert corpora[0].lengths(sample).max() <= 29
        same, other = (corpus.folder / f"source.{sample}.bin" for corpus in corpora[1:])
        assert (corpora[0].folder / f"source.{sample}.bin").read_bytes() == same.read_bytes() != other.read_bytes()
    plain = prepare_pairs(settings, FILES, tmp_path, both, tmp_path / "plain")
    np.testing.assert_array_less(plain.tokens(), corpora[0].tokens())
    with pytest.raises(ConfigurationError, match=r"samples = 2 with dropout = 0\.0"):
        prepare_pairs(settings, FILES, tmp_path, both, tmp_path / "plain", samples=2)
