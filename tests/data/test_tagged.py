"""Tagged sentences: what CoNLL-U and two columns mean, and what becomes of lines that are neither."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from clearhead.data.ledger import Ledger
from clearhead.data.tag_settings import TagData
from clearhead.data.tagged import read_tagged
from clearhead.data.tagged_sentence import TaggedSentence
from clearhead.errors import DataError

Write = Callable[..., Path]


def read(folder: Path, name: str, *, strict: bool = True, **settings: Any) -> tuple[list[TaggedSentence], Ledger]:
    ledger = Ledger(strict=strict)
    return list(read_tagged(TagData(train=name, **settings), name, folder, ledger)), ledger


def word(number: object, form: str, upos: str = "X", xpos: str = "_", feats: str = "_") -> str:
    return f"{number}\t{form}\t_\t{upos}\t{xpos}\t{feats}\t0\troot\t_\t_\n"


# What universaldependencies.org/format.html allows at once: comments, a range, an empty node, a form with a space.
SPANISH = (
    "# sent_id = 1\n# text = vámonos al mar 20 000\n"
    + word("1-2", "vámonos", "_")
    + word(1, "vamos", "VERB", "V", "Mood=Imp|Number=Plur")
    + word(2, "nos", "PRON", "P")
    + word("3-4", "al", "_")
    + word(3, "a", "ADP", "E")
    + word(4, "el", "DET", "D")
    + word("4.1", "ser", "AUX")
    + word(5, "mar", "NOUN", "N", "Number=Sing")
    + word(6, "20 000", "NUM", "M")
    + "\n"
)


@pytest.mark.parametrize("name", ["x.conllu", "x.conllu.gz"])
def test_syntactic_words_are_read_ranges_and_empty_nodes_passed_over(write: Write, tmp_path: Path, name: str) -> None:
    write(name, SPANISH + word(1, "#", "SYM"))
    (first, second), ledger = read(tmp_path, name)
    assert first.words == ("vamos", "nos", "a", "el", "mar", "20 000")
    assert first.tags == ("VERB", "PRON", "ADP", "DET", "NOUN", "NUM")
    assert (first.line, second) == (3, (("#",), ("SYM",), 13))
    assert ledger.read == ledger.kept == 2


@pytest.mark.parametrize(
    ("column", "tags"),
    [("xpos", ("V", "P", "E", "D", "N", "M")), ("feats", ("Mood=Imp|Number=Plur", "_", "_", "_", "Number=Sing", "_"))],
)
def test_another_column_can_be_learnt(write: Write, tmp_path: Path, column: str, tags: tuple[str, ...]) -> None:
    write("x.conllu", SPANISH)
    assert read(tmp_path, "x.conllu", column=column)[0][0].tags == tags


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (word(1, "a") + "2\tb\t_\tX\t_\t_\t0\t_\t_\n", "x.conllu:2: not ten columns (expected 10 (ID FORM"),
        ("1 a _ X _ _ 0 _ _ _\n", "got 1; are there spaces instead of tabs?"),
        (word(1, "a") + word(3, "b"), "x.conllu:2: a wrong word number (expected 2, got '3')"),
        (word(1, "a") + word(1, "b"), "is a blank line between two sentences missing?"),
        (word("one", "a"), "x.conllu:1: a wrong word number (expected 1, got 'one')"),
        (word(1, ""), "x.conllu:1: a word without a form"),
        (word(1, "a", "_"), "a word without a tag (expected UPOS of 'a' in column 4, got '_')"),
        (word(1, "a\0"), "x.conllu:1: a NUL character"),
        ("# text = a\n" + word(1, "\udcff"), "x.conllu:2: invalid UTF-8"),
    ],
)
def test_broken_conllu_is_refused_with_its_line_or_costs_its_sentence(
    write: Write, tmp_path: Path, lines: str, said: str
) -> None:
    write("x.conllu", (word(1, "good") + "\n").encode() + lines.encode("utf-8", "surrogateescape"))
    shifted = said.replace("x.conllu:1:", "x.conllu:3:").replace("x.conllu:2:", "x.conllu:4:")
    with pytest.raises(DataError) as caught:
        read(tmp_path, "x.conllu")
    assert shifted in str(caught.value)
    sentences, ledger = read(tmp_path, "x.conllu", strict=False)
    assert [sentence.words for sentence in sentences] == [("good",)]
    assert (ledger.read, ledger.kept, len(ledger.dropped)) == (2, 1, 1)


def test_two_columns(write: Write, tmp_path: Path) -> None:
    write("x.tsv", 'New York\tB-LOC\n"\tO\n\n\n#\tO\r\n \n\u2028\x85x\tO\n')
    sentences, ledger = read(tmp_path, "x.tsv")
    assert sentences == [(("New York", '"'), ("B-LOC", "O"), 1), (("#",), ("O",), 5), (("\u2028\x85x",), ("O",), 7)]
    assert ledger.read == 3
    assert {remark: entry.count for remark, entry in ledger.noted.items()} == {
        "carriage return at the end of the line taken off": 1,
        "a blank line with spaces in it, taken as the end of a sentence": 1,
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a", "x.txt:2: not two columns (expected token, tab, tag; got no tab)"),
        ("a X", "got no tab; are there spaces instead?"),
        ("a\tX\tY", "got 3 columns"),
        ("\tX", "x.txt:2: an empty token or tag"),
        ("a\t ", "x.txt:2: an empty token or tag"),
    ],
)
def test_a_line_that_is_not_two_columns_is_refused(write: Write, tmp_path: Path, line: str, said: str) -> None:
    write("x.txt", f"good\tX\n{line}\n\ngood\tX\n")
    with pytest.raises(DataError) as caught:
        read(tmp_path, "x.txt")
    assert said in str(caught.value)
    sentences, ledger = read(tmp_path, "x.txt", strict=False)
    assert [sentence.line for sentence in sentences] == [4]
    assert (ledger.read, ledger.kept) == (2, 1)


def test_a_tag_outside_the_scheme_is_refused_where_tags_mark_spans(write: Write, tmp_path: Path) -> None:
    write("x.iob", "a\tO\n\nb\tB-PER\nc\tPER\n")
    assert len(read(tmp_path, "x.iob")[0]) == 2
    with pytest.raises(DataError, match=r"x\.iob:3: a tag that marks no span \(expected .* 'PER' of 'c'"):
        read(tmp_path, "x.iob", scheme="bio")
    assert len(read(tmp_path, "x.iob", scheme="bio", strict=False)[0]) == 1


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no data file .*x\.conllu"):
        read(tmp_path, "x.conllu")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"train": "x.connlu"}, "did you mean '.conllu'?"),
        ({"train": "x.tsv", "column": "xpos"}, "column = 'xpos' is about CoNLL-U"),
        ({"train": "x.conllu", "max_length": 0}, "greater than or equal to 1"),
        ({"train": "x.conllu", "column": "lemma"}, "'upos', 'xpos' or 'feats'"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TagData.model_validate(settings)
    assert said in str(caught.value)


def test_the_format_can_be_told(write: Write, tmp_path: Path) -> None:
    write("x.data", "a\tX\n")
    assert read(tmp_path, "x.data", format="columns")[0] == [(("a",), ("X",), 1)]
