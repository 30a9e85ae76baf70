"""Packed rows: every step of every document exactly once, in order, and documents told apart; a case by hand."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.data.document_corpus import DocumentCorpus
from clearhead.data.document_settings import DocumentData
from clearhead.data.documents import Piece
from clearhead.data.ledger import Ledger
from clearhead.data.order import BatchOrder
from clearhead.data.packing import Grid, TextBatch, TokenStream, collate_rows
from clearhead.data.prepare_documents import Counts, part_pieces, prepare_documents, token_stream
from clearhead.errors import DataError, RunError
from clearhead.symbols import Symbols
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import TokenizerSettings
from clearhead.text.tokenizer import END, PAD, START, Tokenizer

Documents = list[list[int]]


def stream_of(documents: Documents) -> TokenStream:
    targets = [token for document in documents for token in [*document, END]]
    starts = np.cumsum([0, *(len(document) + 1 for document in documents[:-1])])
    return TokenStream(np.array(targets), starts.astype(np.int64))


def test_a_case_by_hand() -> None:
    batch = collate_rows(stream_of([[5, 6], [7], [8, 9, 10]]), Grid(9, 4), [0, 1, 2], masked=True)
    assert batch.ids.tolist() == [[START, 5, 6, START], [7, START, 8, 9], [10, PAD, PAD, PAD]]
    assert batch.targets.tolist() == [[5, 6, END, 7], [END, 8, 9, 10], [END, PAD, PAD, PAD]]
    assert batch.documents is not None
    assert batch.documents[:2].tolist() == [[0, 0, 0, 1], [0, 1, 1, 1]]
    assert batch.mask.sum(1).tolist() == [4, 4, 1]
    assert (batch.tokens, batch.real, batch.cells, len(batch)) == (9, 9, 12, 3)


def test_one_symbol_may_begin_end_and_pad() -> None:
    """As in GPT-2; only the mask tells them apart."""
    symbols = Symbols(pad=9, unknown=None, after=(), start=9, ends=(9,), never=(), silent=(9,))
    stream = TokenStream(np.array([5, 6, 9, 7, 9]), np.array([0, 3]))
    batch = collate_rows(stream, Grid(5, 3), [0, 1], masked=True, symbols=symbols)
    assert batch.ids.tolist() == [[9, 5, 6], [9, 7, 9]]
    assert batch.targets.tolist() == [[5, 6, 9], [7, 9, 9]]
    assert batch.mask.tolist() == [[True] * 3, [True, True, False]]


class Prefixed(Tokenizer):
    """Puts a piece in front of whatever it is given, as SentencePiece does."""

    cuts_by_line = False

    def encode(self, texts: Sequence[str], *, dropout: float = 0.0, seed: int = 0) -> list[list[int]]:
        return [[START, *row] for row in super().encode(texts)]


def test_a_tokenizer_that_cuts_lines_otherwise_is_given_whole_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of more characters than are cut at a time, in parts that end at a line's end."""
    learn_tokenizer(TokenizerSettings(kind="bytes"), ["x"]).save(tmp_path / "bytes.json")
    tokenizer = Prefixed.load(tmp_path / "bytes.json")
    pieces = [Piece("a\n", False), Piece("bc\n", True), Piece("d\n", False), Piece("e\n", False), Piece("f\n", True)]
    stream = token_stream(pieces, tokenizer, counts := Counts())
    a, b, c, d, e, f, end = (row[1] for row in tokenizer.encode("a b c d e f \n".split(" ")))
    whole = [START, a, end, b, c, end, END, START, d, end, e, end, f, end, END]
    assert stream.targets.tolist() == whole and stream.starts.tolist() == [0, 7]
    assert (counts.documents, counts.characters) == (2, 11)
    monkeypatch.setattr("clearhead.data.prepare_documents._CHARACTERS", 4)
    parts = [START, a, end, b, c, end, END, START, d, end, e, end, START, f, end, END]
    assert token_stream(pieces, tokenizer, Counts()).targets.tolist() == parts


def test_one_document_a_row_needs_no_mask_and_a_stream_never_has_one() -> None:
    stream = stream_of([[5, 6, 7], [8, 9, 10]])
    assert collate_rows(stream, Grid(8, 4), [0, 1], masked=True).documents is None
    assert collate_rows(stream, Grid(8, 3), [0, 1], masked=True).documents is not None
    assert collate_rows(stream, Grid(8, 3), [0, 1], masked=False).documents is None


@given(
    st.lists(st.lists(st.integers(4, 20), max_size=9), min_size=1, max_size=8),
    st.integers(2, 7),
    st.integers(0, 6),
)
@settings(deadline=None)
def test_every_step_is_there_once_whatever_the_grid(documents: Documents, length: int, offset: int) -> None:
    stream = stream_of(documents)
    grid = Grid(len(stream.targets), length, min(offset % length, len(stream.targets) - 1))
    assert grid.lengths.sum() == grid.steps and grid.lengths.min() > 0 and grid.lengths.max() <= length
    steps, previous = [], None
    for row in range(len(grid)):
        batch = collate_rows(stream, grid, [row], masked=True)
        assert batch.ids.shape == (1, grid.lengths[row])
        numbers = [0] * batch.ids.shape[1] if batch.documents is None else batch.documents[0].tolist()
        for token, target in zip(batch.ids[0].tolist(), batch.targets[0].tolist(), strict=True):
            assert (token == START) == (previous is None or previous == END)
            assert token in (START, previous)
            steps.append(target)
            previous = target
        begun = [int(token == START) for token in batch.ids[0, 1:].tolist()]
        assert [after - before for before, after in pairwise(numbers)] == begun
    assert steps == stream.targets.tolist()


def test_halves_count_the_same() -> None:
    batch = collate_rows(stream_of([[5, 6], [7], [8, 9, 10], [11]]), Grid(11, 4), [0, 1, 2], masked=True)
    parts = batch.split(2)
    assert [len(part) for part in parts] == [2, 1]
    assert sum(part.tokens for part in parts) == batch.tokens == 11
    assert parts[1].ids.tolist() == [[10, START, 11]]
    assert torch.equal(batch.to("cpu").targets, batch.targets)


# From files to rows.

TEXT = "To be, or not to be,\nthat is the question.\n\nWhether 'tis nobler\n"


def prepared(folder: Path, **data: object) -> tuple[DocumentData, Tokenizer, DocumentCorpus]:
    (folder / "text.txt").write_text(TEXT * 20)
    given = {"folder": str(folder), "train": {"files": ["text.txt"]}, "length": 16} | data
    data_settings = DocumentData.model_validate(given)
    tokenizer = learn_tokenizer(TokenizerSettings(kind="bytes"), [TEXT])
    return data_settings, tokenizer, prepare_documents(data_settings, tokenizer, folder / "out")


def whole(corpus: DocumentCorpus, sample: int = 0) -> list[int]:
    rows: list[int] = []
    for row in range(len(corpus.lengths(sample))):
        batch = corpus.batch([row], sample)
        rows += batch.targets[batch.mask].tolist()
    return rows


def test_a_prepared_corpus_holds_the_text(tmp_path: Path) -> None:
    settings, tokenizer, corpus = prepared(tmp_path, offsets=3)
    assert corpus.counts["documents"] == 1 and corpus.counts["characters"] == len(TEXT) * 20
    assert corpus.samples == 3 and len(corpus) == len(corpus.lengths())
    for sample in range(3):
        assert tokenizer.decode([whole(corpus, sample)]) == [TEXT * 20]
        assert (corpus.lengths(sample) + 1).sum() == len(corpus.stream.targets) == len(TEXT) * 20 + 1
    assert corpus.lengths(1)[0, 0] + 1 == 16 // 3
    assert DocumentCorpus.open(tmp_path / "out").fingerprint == corpus.fingerprint
    prepare_documents(settings, tokenizer, tmp_path / "other")
    assert (tmp_path / "other" / "corpus.json").read_bytes() == (tmp_path / "out" / "corpus.json").read_bytes()


def test_the_order_of_batches_reads_every_row_once(tmp_path: Path) -> None:
    _, _, corpus = prepared(tmp_path, train={"files": ["text.txt"], "documents": "line"}, offsets=2)
    order = BatchOrder(corpus, 64, seed=1)
    for epoch in range(2):
        rows = [int(row) for batch in order.epoch(epoch) for row in batch]
        assert sorted(rows) == list(range(len(corpus.lengths(epoch))))
        assert max(corpus.batch(batch, epoch).cells for batch in order.epoch(epoch)) <= 64


def test_held_out_text_is_counted(tmp_path: Path) -> None:
    settings, _, _ = prepared(tmp_path, split={"valid": 0.25})
    ledger = Ledger()
    pieces = part_pieces(settings, "valid", ledger)
    assert pieces is not None and part_pieces(settings, "test", ledger) is None
    counts = Counts()
    tokenizer = learn_tokenizer(TokenizerSettings(kind="characters", min_frequency=1), ["To be, ornt'\n"])
    stream = token_stream(pieces, tokenizer, counts)
    assert counts.characters == counts.bytes == len(TEXT) * 20 - int(len(TEXT) * 20 * 0.75)
    assert counts.steps == len(stream.targets) == counts.characters + 1
    assert 0 < counts.unknown < counts.steps


def test_a_text_without_words_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "blank.txt").write_text("\n\n")
    settings = DocumentData.model_validate(
        {"folder": str(tmp_path), "train": {"files": ["blank.txt"], "documents": "line"}}
    )
    tokenizer = learn_tokenizer(TokenizerSettings(kind="bytes"), ["x"])
    with pytest.raises(DataError, match=r"no text in .*blank\.txt: 2 lines read"):
        prepare_documents(settings, tokenizer, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_damaged_corpus_is_refused(tmp_path: Path) -> None:
    prepared(tmp_path)
    tokens = tmp_path / "out" / "tokens.bin"
    tokens.write_bytes(tokens.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"tokens\.bin has \d+ bytes, expected \d+"):
        DocumentCorpus.open(tmp_path / "out")


def test_a_batch_cannot_be_split_into_nothing() -> None:
    batch = collate_rows(stream_of([[5, 6]]), Grid(3, 4), [0], masked=False)
    assert isinstance(batch, TextBatch)
    with pytest.raises(ValueError, match="1 part or more"):
        batch.split(0)
