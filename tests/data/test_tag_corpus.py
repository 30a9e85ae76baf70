"""Tagged sentences as a prepared corpus: what is written is read, long sentences are counted, batches are right."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.data.long_sentences import even_parts
from clearhead.data.prepare_tagged import prepare_tagged
from clearhead.data.ragged import Ragged
from clearhead.data.tag_batch import UNSCORED, collate_tagged
from clearhead.data.tag_corpus import TagCorpus
from clearhead.data.tag_settings import TagData
from clearhead.data.word_table import PieceReader, WholeWordReader, WordReader
from clearhead.errors import DataError, RunError, ShapeError
from clearhead.text.tokenizer import Tokenizer
from clearhead.text.word_settings import WordInput
from clearhead.text.words import WordVocabulary

Write = Callable[..., Path]
TAGS = {"A": 0, "B": 1}
FILE = "a\tA\nb\tB\nc\tA\n\nb\tB\n\nc\tA\na\tB\n"


def whole(buckets: int = 0) -> WordReader:
    return WholeWordReader(WordVocabulary(["a", "b"], WordInput(buckets=buckets, longest=1)))


def prepare(folder: Path, reader: WordReader, **settings: Any) -> TagCorpus:
    data = TagData(folder=str(folder), train="x.tsv", **settings)
    return prepare_tagged(data, reader, TAGS, folder / "corpus")


def test_words_are_read_back_in_batches(write: Write, tmp_path: Path) -> None:
    write("x.tsv", FILE)
    corpus = prepare(tmp_path, whole())
    batch = corpus.batch(np.array([2, 0]))
    assert batch.ids.tolist() == [[1, 4, 0], [4, 5, 1]]
    assert batch.mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.tags.tolist() == [[0, 1, UNSCORED], [0, 1, 0]]
    assert (batch.ngrams, batch.words) == (None, None)
    assert (len(batch), batch.tokens, batch.real, batch.cells) == (2, 5, 5, 6)
    assert (len(corpus), corpus.words, corpus.positions) == (3, 6, 6)
    assert corpus.lengths().tolist() == [[2], [0], [1]]
    assert corpus.lines.tolist() == [1, 5, 7]


def test_ngrams_come_with_their_words(write: Write, tmp_path: Path) -> None:
    write("x.tsv", "a\tA\nbb\tB\n\na\tA\n")
    corpus, reader = prepare(tmp_path, whole(9)), whole(9)
    ngrams = corpus.batch(np.array([0, 1])).ngrams
    assert ngrams is not None
    one, two = (list(reader.table([word], 9).ngrams.values) for word in ("a", "bb"))  # type: ignore[union-attr]
    assert ngrams.tolist() == [[[*one, 0], two], [[*one, 0], [0] * 4]]


def test_pieces_know_their_words(write: Write, tmp_path: Path, words: Tokenizer) -> None:
    write("x.tsv", "a b c\tA\nz\tB\n\nd\tB\n")
    corpus = prepare(tmp_path, PieceReader(words))
    batch = corpus.batch(np.array([0, 1]))
    (a, b, c), (d,) = words.encode(["a b c", "d"])
    assert batch.ids.tolist() == [[a, b, c, 1], [d, 0, 0, 0]]
    assert batch.words is not None and batch.words.tolist() == [[0, 0, 0, 1], [0, -1, -1, -1]]
    assert batch.tags.tolist() == [[0, 1], [1, UNSCORED]]
    assert corpus.lengths().tolist() == [[3], [0]]


@pytest.mark.parametrize("reader", ["whole", "pieces"])
def test_parts_of_a_batch_are_the_batches_of_its_parts(
    write: Write, tmp_path: Path, words: Tokenizer, reader: str
) -> None:
    write("x.tsv", "a b\tA\nb\tB\nc\tA\n\nb\tB\n\nc d e f\tA\na\tB\n\na\tA\n")
    corpus = prepare(tmp_path, whole(9) if reader == "whole" else PieceReader(words))
    whole_batch = corpus.batch(np.arange(4))
    for part, rows in zip(whole_batch.split(2), ([0, 1], [2, 3]), strict=True):
        alone = corpus.batch(np.array(rows))
        for name in ("ids", "mask", "words", "tags"):
            one, other = getattr(part, name), getattr(alone, name)
            assert one is other is None or torch.equal(one, other), name
        assert (part.tokens, part.real) == (alone.tokens, alone.real)
    assert [len(part) for part in whole_batch.split(3)] == [2, 2]
    with pytest.raises(ShapeError, match="not 0"):
        whole_batch.split(0)


@pytest.mark.parametrize(
    ("policy", "rows", "dropped", "noted"),
    [
        ("split", [[4, 5], [1], [5], [1, 4]], {}, {"a sentence of more than 2 positions split": 1}),
        ("cut", [[4, 5], [5], [1, 4]], {}, {"a sentence cut to 2 positions": 1}),
        ("drop", [[5], [1, 4]], {"a sentence of more than 2 positions": 1}, {}),
    ],
)
def test_long_sentences_are_accounted_for(
    write: Write, tmp_path: Path, policy: str, rows: list[list[int]], dropped: dict[str, int], noted: dict[str, int]
) -> None:
    write("x.tsv", FILE)
    corpus = prepare(tmp_path, whole(), max_length=2, too_long=policy)
    found = [corpus.batch(np.array([row])).ids[0].tolist() for row in range(len(corpus))]
    assert found == rows
    ledger = corpus.ledger
    assert (ledger["read"], ledger["kept"]) == (3, 3 - sum(dropped.values()))
    assert {reason: entry["count"] for reason, entry in ledger["dropped"].items()} == dropped
    assert {reason: entry["count"] for reason, entry in ledger["noted"].items()} == noted


def test_a_long_sentence_can_be_refused_with_its_line(write: Write, tmp_path: Path) -> None:
    write("x.tsv", "\n" + FILE)
    with pytest.raises(DataError, match=r"x\.tsv:2: the sentence takes 3 positions, max_length is 2"):
        prepare(tmp_path, whole(), max_length=2, too_long="refuse")


def test_a_word_of_more_pieces_than_the_limit_loses_its_end(write: Write, tmp_path: Path, words: Tokenizer) -> None:
    write("x.tsv", "a b c d\tA\ne\tB\n")
    corpus = prepare(tmp_path, PieceReader(words), max_length=2)
    assert corpus.lengths().tolist() == [[1], [0]]


def test_a_file_without_a_usable_sentence_is_refused(write: Write, tmp_path: Path) -> None:
    write("x.tsv", "a A\n")
    with pytest.raises(DataError, match=r"no usable sentence in .*: 1 read, 1 dropped for not two columns"):
        prepare(tmp_path, whole(), bad_lines="skip")


def test_the_same_input_gives_the_same_files_and_other_input_another_fingerprint(write: Write, tmp_path: Path) -> None:
    write("x.tsv", FILE)
    first = prepare(tmp_path, whole(9))
    before = {path.name: path.read_bytes() for path in (tmp_path / "corpus").iterdir()}
    second = prepare(tmp_path, whole(9))
    assert {path.name: path.read_bytes() for path in (tmp_path / "corpus").iterdir()} == before
    assert first.fingerprint == second.fingerprint
    assert prepare(tmp_path, whole(8)).fingerprint != first.fingerprint
    write("x.tsv", FILE.replace("b", "x"))
    assert prepare(tmp_path, whole(9)).fingerprint != first.fingerprint


def test_a_damaged_corpus_is_named(write: Write, tmp_path: Path) -> None:
    write("x.tsv", FILE)
    prepare(tmp_path, whole())
    page = tmp_path / "corpus" / "corpus.json"
    good = page.read_text()
    page.write_text(good.replace('"<i4"', '"|O"', 1))
    with pytest.raises(RunError, match=r"corpus\.json is damaged: words\.bin should hold numbers"):
        TagCorpus.open(tmp_path / "corpus")
    page.write_text(json.dumps(json.loads(good) | {"kind": "pairs"}))
    with pytest.raises(RunError, match="holds a corpus of pairs"):
        TagCorpus.open(tmp_path / "corpus")
    page.write_text(good)
    (tmp_path / "corpus" / "tags.bin").write_bytes(b"1")
    with pytest.raises(RunError, match=r"tags\.bin has 1 bytes, expected 24"):
        TagCorpus.open(tmp_path / "corpus")
    (tmp_path / "corpus" / "tags.bin").unlink()
    with pytest.raises(RunError, match=r"tags\.bin is missing"):
        TagCorpus.open(tmp_path / "corpus")


@pytest.mark.parametrize(("sizes", "limit"), [([1] * 7, 3), ([5, 5, 5], 5), ([1, 4, 2, 5, 1, 1], 5), ([3], 9), ([], 4)])
def test_even_parts_hold_every_word_once_and_keep_the_limit(sizes: list[int], limit: int) -> None:
    parts = even_parts(sizes, limit)
    assert [size for part in parts for size in sizes[part]] == sizes
    assert all(sum(sizes[part]) <= limit for part in parts)


def test_even_parts_are_nearly_equal() -> None:
    assert [part.stop - part.start for part in even_parts([1] * 10, 4)] == [4, 4, 2]
    assert [part.stop - part.start for part in even_parts([1] * 101, 100)] == [51, 50]


def test_ragged_rows_are_what_went_in() -> None:
    rows = [[1, 2], [], [3], [4, 5, 6]]
    ragged, order = Ragged.of(rows), np.array([3, 1, 0, 3])
    assert ragged.flat(order).tolist() == [4, 5, 6, 1, 2, 4, 5, 6]
    assert ragged.padded(order).tolist() == [[4, 5, 6], [0, 0, 0], [1, 2, 0], [4, 5, 6]]
    assert ragged.padded(np.array([1])).shape == (1, 0)
    assert len(ragged) == 4


def test_sentences_without_words_or_with_too_few_tags_are_no_batch() -> None:
    table = whole().table(["a"], 9)
    with pytest.raises(ShapeError, match="every sentence at least one word"):
        collate_tagged(table, [np.array([0]), np.array([], dtype=np.int64)])
    with pytest.raises(ShapeError, match="as many tags"):
        collate_tagged(table, [np.array([0])], [np.array([0, 1])])


def test_a_tag_that_a_run_has_not_learnt_is_refused_with_its_line(write: Write, tmp_path: Path) -> None:
    write("x.tsv", "a\tA\n\nb\tC\n")
    with pytest.raises(DataError, match=r"x\.tsv:3: 'C' is none of the 2 that this run was begun with, such as 'A'"):
        prepare(tmp_path, whole())
