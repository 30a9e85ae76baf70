"""Labelled texts become a corpus: what a batch holds, what the policies do, what makes the fingerprint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.data.label_settings import LabelData, LabelSetData
from clearhead.data.labelled import LabelledText, meaning_of, read_labelled
from clearhead.data.labels import Labels
from clearhead.data.ledger import Ledger
from clearhead.data.prepare_texts import ONCE, Variety, prepare_texts, without_blanks
from clearhead.data.text_batch import collate_texts, label_sets
from clearhead.data.text_corpus import TextCorpus
from clearhead.data.text_reader import PieceReader, TextReader, WholeWordReader
from clearhead.errors import DataError, RunError, ShapeError
from clearhead.text.learn import learn_tokenizer
from clearhead.text.running_words import running_words
from clearhead.text.settings import TokenizerSettings
from clearhead.text.tokenizer import START, UNKNOWN
from clearhead.text.word_settings import WordInput
from clearhead.text.words import WordVocabulary

TEXTS = ["good good film", "bad film", "good actor, bad plot", "   ", "fine"]
LABELS = ["yes", "no", "no", "yes", "maybe"]


def settings(folder: Path, kind: type[LabelData] = LabelData, **changes: Any) -> Any:
    lines = [f"{text}\t{label}" for text, label in zip(TEXTS, LABELS, strict=True)]
    (folder / "train.tsv").write_text("\n".join(["text\tlabel", *lines, ""]), encoding="utf-8")
    return kind.model_validate({"folder": str(folder), "train": {"file": "train.tsv"}, **changes})


def words_reader() -> TextReader:
    chosen = WordInput(buckets=50, min_frequency=2)
    return WholeWordReader(WordVocabulary.learn((word for text in TEXTS for word in running_words(text)), chosen))


def piece_reader() -> TextReader:
    return PieceReader(learn_tokenizer(TokenizerSettings(vocabulary=300, min_frequency=1), TEXTS))


def prepare(data: Any, out: Path, reader: TextReader | None = None, variety: Variety | None = None) -> TextCorpus:
    ledger = Ledger()
    read = read_labelled(data.train, Path(data.folder), meaning_of(data, None), ledger)
    rows = without_blanks(data, read, ledger)
    labels = Labels.of((row.labels for row in rows), None)
    return prepare_texts(data, rows, labels, reader or words_reader(), variety or Variety(), ledger, out)


def test_a_batch_has_the_start_symbol_words_ngrams_and_labels(tmp_path: Path) -> None:
    corpus, reader = prepare(settings(tmp_path), tmp_path / "c"), words_reader()
    batch = corpus.batch(np.array([1, 0]))
    vocabulary = reader.vocabulary  # type: ignore[attr-defined]
    assert batch.ids.tolist() == [
        [START, vocabulary.id("bad"), vocabulary.id("film"), 0],
        [START, vocabulary.id("good"), vocabulary.id("good"), vocabulary.id("film")],
    ]
    assert batch.mask.tolist() == [[True, True, True, False], [True] * 4]
    assert batch.ngrams is not None and batch.ngrams.shape[:2] == (2, 4)
    assert not batch.ngrams[:, 0].any() and not batch.ngrams[0, 3].any()
    assert sorted(batch.ngrams[0, 1][batch.ngrams[0, 1] > 0].tolist()) == sorted(vocabulary.ngrams("bad"))
    assert batch.labels.tolist() == [1, 2]  # maybe, no, yes
    assert (len(batch), batch.tokens, batch.cells, batch.real) == (2, 2, 8, 7)


def test_rare_words_are_unknown_but_spelled(tmp_path: Path) -> None:
    batch = prepare(settings(tmp_path), tmp_path / "c").batch(np.array([3]))
    assert batch.ids.tolist() == [[START, UNKNOWN]]
    assert batch.ngrams is not None and (batch.ngrams[0, 1] > 0).any()


def test_lengths_leave_the_start_symbol_out(tmp_path: Path) -> None:
    corpus = prepare(settings(tmp_path), tmp_path / "c")
    assert corpus.lengths().tolist() == [[3], [2], [5], [1]]
    assert corpus.positions == 15


def test_sets_of_labels_are_rows_of_marks(tmp_path: Path) -> None:
    data = settings(tmp_path, LabelSetData)
    (tmp_path / "train.tsv").write_text("text\tlabel\na\tx,y\nb\t\nc\ty\n")
    assert prepare(data, tmp_path / "c").batch(np.arange(3)).labels.tolist() == [
        [True, True],
        [False] * 2,
        [False, True],
    ]


def test_parts_of_a_batch_are_its_rows_without_needless_padding(tmp_path: Path) -> None:
    batch = prepare(settings(tmp_path), tmp_path / "c").batch(np.arange(4))
    parts = batch.split(3)
    assert [part.ids.shape for part in parts] == [(2, 4), (2, 6)]
    assert torch.cat([part.labels for part in parts]).tolist() == batch.labels.tolist()
    assert sum(part.real for part in parts) == batch.real
    assert all(torch.equal(part.ids, batch.ids[2 * n : 2 * n + 2, : part.ids.shape[1]]) for n, part in enumerate(parts))


def test_blank_texts_are_dropped_and_counted_or_refused(tmp_path: Path) -> None:
    corpus = prepare(settings(tmp_path), tmp_path / "c")
    assert corpus.ledger["dropped"]["a blank text"] == {"count": 1, "first": ["train.tsv:5"]}
    with pytest.raises(DataError, match=r"train\.tsv:5: the text is blank"):
        prepare(settings(tmp_path, empty="refuse"), tmp_path / "d")


@pytest.mark.parametrize(("policy", "texts", "longest"), [("truncate", 4, 3), ("drop", 2, 2)])
def test_long_texts_are_cut_or_dropped_and_counted(tmp_path: Path, policy: str, texts: int, longest: int) -> None:
    corpus = prepare(settings(tmp_path, too_long=policy, max_length=4 if policy == "truncate" else 3), tmp_path / "c")
    assert (len(corpus), corpus.lengths().max()) == (texts, longest)
    counted = corpus.ledger["noted" if policy == "truncate" else "dropped"]
    assert any("text" in reason and "positions" in reason for reason in counted)


def test_long_texts_are_refused_with_their_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train\.tsv:4: the text takes 6 positions"):
        prepare(settings(tmp_path, too_long="refuse", max_length=5), tmp_path / "c")


def test_a_label_with_one_text_is_noted(tmp_path: Path) -> None:
    noted = prepare(settings(tmp_path), tmp_path / "c").ledger["noted"]
    assert noted[ONCE] == {"count": 2, "first": ["train.tsv:2", "train.tsv:6"]}


def test_pieces_can_be_cut_in_several_ways(tmp_path: Path) -> None:
    corpus = prepare(settings(tmp_path), tmp_path / "c", piece_reader(), Variety(3, 0.5, 7))
    assert corpus.samples == 3
    rows = [corpus.batch(np.arange(4), sample).ids.tolist() for sample in range(3)]
    assert rows[0] != rows[1]
    again = prepare(settings(tmp_path), tmp_path / "d", piece_reader(), Variety(3, 0.5, 7))
    assert [again.batch(np.arange(4), sample).ids.tolist() for sample in range(3)] == rows
    assert again.fingerprint == corpus.fingerprint


@pytest.mark.parametrize(
    "change", [{"max_length": 9}, {"too_long": "drop"}, {"train": {"file": "train.tsv", "text": "label"}}]
)
def test_the_fingerprint_knows_the_policies(tmp_path: Path, change: dict[str, Any]) -> None:
    before = prepare(settings(tmp_path), tmp_path / "c").fingerprint
    assert prepare(settings(tmp_path, **change), tmp_path / "d").fingerprint != before


def test_a_damaged_corpus_is_refused(tmp_path: Path) -> None:
    prepare(settings(tmp_path), tmp_path / "c")
    (tmp_path / "c" / "labels.bin").write_bytes(b"")
    with pytest.raises(RunError, match=r"labels\.bin has 0 bytes"):
        TextCorpus.open(tmp_path / "c")


def test_a_batch_needs_texts_and_as_many_labels() -> None:
    table = words_reader().begin().table()
    with pytest.raises(ShapeError):
        collate_texts(table, [], torch.zeros(0))
    with pytest.raises(ShapeError):
        collate_texts(table, [[0]], torch.zeros(2))
    assert label_sets([[1], []], 2).tolist() == [[False, True], [False, False]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't — stop!", ["Don't", "—", "stop", "!"]),
        ("我爱你 ok", ["我", "爱", "你", "ok"]),
        ("a_b 3.5 ''", ["a_b", "3", ".", "5", "'", "'"]),
        ("", []),
    ],
)
def test_running_text_is_taken_apart(text: str, words: list[str]) -> None:
    assert running_words(text) == words


def test_rows_of_a_text_do_not_depend_on_its_company() -> None:
    reader = words_reader()
    together = reader.begin()
    rows = together.rows(TEXTS)
    alone = reader.begin()
    (row,) = alone.rows([TEXTS[2]])
    assert together.table().ids[rows[2]].tolist() == alone.table().ids[row].tolist()
    assert LabelledText("x", (), 1).labels == ()
