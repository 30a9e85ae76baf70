"""A split as an option of the data: what is trained on, what is held out, what is told, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from clearhead.data.ledger import Ledger
from clearhead.data.pair_parts import part_files, read_part_pairs, split_in_numbers
from clearhead.data.pair_split import ELSEWHERE, PARTS
from clearhead.data.prepare import prepare_pairs
from clearhead.data.settings import PairData
from clearhead.errors import DataError
from clearhead.text.tokenizer import Tokenizer

from .conftest import Write

SPLIT = {"valid": 0.1, "test": 0.1}


def data(write: Write, **more: object) -> PairData:
    chance = np.random.default_rng(1)
    rows = [f"{'abcdefgh'[a]} {b}\t{c} i" for a, b, c in chance.integers((8, 99, 300), size=(300, 3)).tolist()]
    write("pairs.tsv", "".join(f"{row}\n" for row in rows))
    train = {"file": "pairs.tsv", "header": False, "source": "1", "target": "2"}
    return PairData.model_validate({"train": train} | more)


def test_the_parts_share_no_sentence_and_lose_no_pair(write: Write, tmp_path: Path) -> None:
    settings = data(write, split=SPLIT)
    parts = {part: list(read_part_pairs(settings, part, tmp_path, Ledger())) for part in PARTS}
    whole = list(read_part_pairs(data(write), "train", tmp_path, Ledger()))
    assert sorted(pair for part in parts.values() for pair in part) == sorted(whole)
    for side in ("source", "target"):
        texts = [{getattr(pair, side) for pair in part} for part in parts.values()]
        assert sum(map(len, texts)) == len(set.union(*texts))
    told = split_in_numbers(settings, tmp_path)
    assert {part: numbers["pairs"] for part, numbers in told.items()} == {p: len(pairs) for p, pairs in parts.items()}
    assert split_in_numbers(data(write), tmp_path) == {}


def test_only_the_training_part_is_prepared_and_the_rest_is_counted(
    write: Write, tmp_path: Path, words: Tokenizer
) -> None:
    settings = data(write, split=SPLIT)
    corpus = prepare_pairs(settings, settings.train, tmp_path, (words, words), tmp_path / "out")
    told = split_in_numbers(settings, tmp_path)
    assert len(corpus) == told["train"]["pairs"] == 300 - corpus.ledger["dropped"][ELSEWHERE]["count"]
    plain = prepare_pairs(data(write), settings.train, tmp_path, (words, words), tmp_path / "plain")
    assert len(plain) == 300 and plain.fingerprint != corpus.fingerprint


def test_parts_with_files_of_their_own_keep_them(write: Write, tmp_path: Path) -> None:
    write("valid.src", "a\nb\n")
    write("valid.tgt", "c\nd\n")
    settings = data(write, split={"test": 0.1}, valid={"source": "valid.src", "target": "valid.tgt"})
    assert [pair.source for pair in read_part_pairs(settings, "valid", tmp_path, Ledger())] == ["a", "b"]
    assert part_files(settings, "test") is settings.train
    assert part_files(data(write), "valid") is None


def test_what_cannot_be_is_refused(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="valid is given as files and as a share"):
        data(write, split=SPLIT, valid={"source": "a", "target": "b"})
    write("one.tsv", "a\tb\na\tc\nd\tc\n")
    joined = {"file": "one.tsv", "header": False, "source": "1", "target": "2"}
    settings = PairData.model_validate({"train": joined, "split": {"test": 0.4}})
    with pytest.raises(DataError, match="the split leaves no pair for test: 3 pairs"):
        list(read_part_pairs(settings, "test", tmp_path, Ledger()))
