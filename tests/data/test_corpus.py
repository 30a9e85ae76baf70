"""A prepared corpus: memory-mapped, read-only, and refused when a part is missing or has the wrong size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from clearhead.data.corpus import PairCorpus
from clearhead.data.prepare import prepare_pairs
from clearhead.data.settings import PairData, PairFiles
from clearhead.data.writer import CorpusWriter
from clearhead.errors import RunError
from clearhead.symbols import Symbols
from clearhead.text.tokenizer import Tokenizer

Write = Callable[..., Path]


@pytest.fixture
def folder(write: Write, words: Tokenizer, tmp_path: Path) -> Path:
    write("x.tsv", "a b c\td\ne\tf g\n")
    files = PairFiles(file="x.tsv", source="1", target="2", header=False)
    return prepare_pairs(PairData(train=files), files, tmp_path, (words, words), tmp_path / "corpus").folder


def mapped(array: np.ndarray | None) -> bool:
    while array is not None:
        if isinstance(array, np.memmap):
            return True
        array = array.base
    return False


def test_arrays_are_maps_of_the_disk_and_cannot_be_written(folder: Path) -> None:
    corpus = PairCorpus.open(folder)
    (first, _), _ = corpus.rows([0, 1])
    for array in (corpus.lengths(), first):
        assert mapped(array)
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert corpus.lengths().dtype == np.int32
    assert corpus.lengths().tolist() == [[3, 1], [1, 2]]


def test_rows_may_be_asked_in_any_order_and_more_than_once(folder: Path) -> None:
    corpus = PairCorpus.open(folder)
    once = [row.tolist() for row in corpus.rows([0, 1])[0]]
    assert [row.tolist() for row in corpus.rows(np.array([1, 0, 1]))[0]] == [once[1], once[0], once[1]]
    assert corpus.rows([]) == ([], [])


@pytest.mark.parametrize("name", ["lengths.0.bin", "starts.0.bin", "source.0.bin", "target.0.bin", "lines.bin"])
def test_a_missing_or_cut_file_is_named(name: str, folder: Path) -> None:
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[:-1])
    with pytest.raises(RunError, match=rf"{name} has {len(whole) - 1} bytes, expected {len(whole)}"):
        PairCorpus.open(folder)
    (folder / name).unlink()
    with pytest.raises(RunError, match=f"not a prepared corpus: {name} is missing"):
        PairCorpus.open(folder)


def test_what_is_no_corpus_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"absent is not a prepared corpus: corpus\.json is missing"):
        PairCorpus.open(tmp_path / "absent")
    description = json.loads((folder / "corpus.json").read_text())
    for broken in ("", "[]", "{}", "{", '{"format": 1}', json.dumps(description | {"pairs": "two"})):
        (folder / "corpus.json").write_text(broken)
        with pytest.raises(RunError, match=r"corpus\.json is damaged"):
            PairCorpus.open(folder)
    (folder / "corpus.json").write_text(json.dumps(description | {"format": 7}))
    with pytest.raises(RunError, match="a corpus of format 7, expected 1"):
        PairCorpus.open(folder)


def test_large_vocabularies_get_wider_ids(tmp_path: Path) -> None:
    with CorpusWriter(tmp_path, (1 << 16, (1 << 16) + 1), 1) as writer:
        writer.append([([[65_535]], [[65_536]])], [1])
    assert (tmp_path / "source.0.bin").read_bytes() == b"\xff\xff"
    assert (tmp_path / "target.0.bin").read_bytes() == b"\x00\x00\x01\x00"


def test_a_corpus_brings_the_symbols_of_its_vocabularies(write: Write, words: Tokenizer, tmp_path: Path) -> None:
    """One that was written before they were told has our own."""
    other = Tokenizer.load(save(words, tmp_path))
    other.symbols = Symbols(pad=3, before=(2,), after=(3,), start=3, forced=(2,), ends=(3,), never=(), silent=())
    write("x.tsv", "a b c\td\ne\tf g\n")
    files = PairFiles(file="x.tsv", source="1", target="2", header=False)
    made = prepare_pairs(PairData(train=files, max_length=4), files, tmp_path, (words, other), tmp_path / "corpus")
    corpus = PairCorpus.open(made.folder)
    assert corpus.symbols == (words.symbols, other.symbols)
    assert corpus.lengths().tolist() == [[3, 2], [1, 3]]  # less the one that an order of batches adds
    batch = corpus.batch([0, 1])
    assert [batch.source.shape[1], batch.target_in.shape[1]] == [4, 4] and batch.target_in[0].tolist()[:2] == [3, 2]
    page = json.loads((made.folder / "corpus.json").read_text())
    del page["symbols"]
    (made.folder / "corpus.json").write_text(json.dumps(page))
    assert PairCorpus.open(made.folder).symbols == (words.symbols, words.symbols)


def save(tokenizer: Tokenizer, folder: Path) -> Path:
    tokenizer.save(folder / "tokenizer.json")
    return folder / "tokenizer.json"
