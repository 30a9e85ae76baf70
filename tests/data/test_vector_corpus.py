"""Vectors as a prepared corpus: scaled, written, read back in batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.data.tag_batch import UNSCORED
from clearhead.data.vector_batch import collate_vectors
from clearhead.data.vector_corpus import Scale, VectorCorpus, measured, prepare_vectors
from clearhead.data.vector_settings import VectorData, VectorFiles
from clearhead.data.vectors import VectorRow
from clearhead.errors import DataError, ShapeError

FILES = VectorFiles(file="a.npz", vectors="x", labels="y", lengths="n")
PLAIN = Scale((0.0, 0.0), (1.0, 1.0))


def prepare(folder: Path, *, per_vector: bool, scale: Scale = PLAIN, **settings: Any) -> VectorCorpus:
    vectors = np.arange(12.0).reshape(6, 2)
    labels = np.array([0, 1, 0, 1, 1, 0]) if per_vector else np.array([1, 0, 1])
    np.savez(folder / "a.npz", x=vectors, y=labels, n=np.array([1, 3, 2]))
    data = VectorData(folder=str(folder), train=FILES, **settings)
    return prepare_vectors(data, scale, {"0": 0, "1": 1}, folder / "corpus", per_vector=per_vector)


def test_sequences_are_read_back_in_batches(tmp_path: Path) -> None:
    corpus = prepare(tmp_path, per_vector=True)
    batch = corpus.batch(np.array([2, 1]))
    assert batch.vectors.tolist() == [[[8, 9], [10, 11], [0, 0]], [[2, 3], [4, 5], [6, 7]]]
    assert batch.mask.tolist() == [[True, True, False], [True, True, True]]
    assert batch.labels.tolist() == [[1, 0, UNSCORED], [1, 0, 1]]
    assert (len(batch), batch.tokens, batch.real, batch.cells) == (2, 5, 5, 6)
    assert corpus.lengths().tolist() == [[0], [2], [1]]
    assert (len(corpus), corpus.vectors) == (3, 6)


def test_sequences_with_one_label_each(tmp_path: Path) -> None:
    batch = prepare(tmp_path, per_vector=False).batch(np.array([0, 2]))
    assert (batch.labels.tolist(), batch.tokens, batch.real) == ([1, 1], 2, 3)


@pytest.mark.parametrize("per_vector", [True, False])
def test_parts_of_a_batch_are_the_batches_of_its_parts(tmp_path: Path, per_vector: bool) -> None:
    corpus = prepare(tmp_path, per_vector=per_vector)
    parts = corpus.batch(np.arange(3)).split(2)
    for part, rows in zip(parts, ([0, 1], [2]), strict=True):
        alone = corpus.batch(np.array(rows))
        for name in ("vectors", "mask", "labels"):
            assert torch.equal(getattr(part, name), getattr(alone, name)), name
        assert (part.tokens, part.real) == (alone.tokens, alone.real)


def test_features_are_scaled_as_numpy_says() -> None:
    chance = np.random.default_rng(1)
    rows = [chance.normal(5.0, 3.0, (size, 3)).astype(np.float32) for size in (1, 4, 2)]
    for row in rows:
        row[:, 2] = 7.0  # a feature that never changes is only shifted
    scale, labels = measured([VectorRow(row, ("a",), 1) for row in rows], standardise=True)
    every = np.concatenate(rows).astype(np.float64)
    assert labels == {"a"}
    assert scale.mean == pytest.approx(every.mean(0))
    assert scale.deviation == pytest.approx([every[:, 0].std(), every[:, 1].std(), 1.0])
    scaled = scale.apply(np.concatenate(rows))
    assert scaled.mean(0) == pytest.approx([0, 0, 0], abs=1e-6) and scaled.std(0) == pytest.approx([1, 1, 0], abs=1e-6)
    assert measured([VectorRow(rows[0], ("a",), 1)], standardise=False)[0] == ((0.0,) * 3, (1.0,) * 3)


def test_the_corpus_holds_scaled_vectors(tmp_path: Path) -> None:
    corpus = prepare(tmp_path, per_vector=False, scale=Scale((1.0, 0.0), (2.0, 1.0)))
    assert corpus.batch(np.array([0])).vectors.tolist() == [[[-0.5, 1.0]]]


@pytest.mark.parametrize(
    ("policy", "lengths", "dropped", "noted"),
    [
        ("cut", [1, 2, 2], {}, {"a sequence cut to 2 vectors": 1}),
        ("drop", [1, 2], {"a sequence of more than 2 vectors": 1}, {}),
    ],
)
def test_long_sequences_are_accounted_for(
    tmp_path: Path, policy: str, lengths: list[int], dropped: dict[str, int], noted: dict[str, int]
) -> None:
    for per_vector in (True, False):
        corpus = prepare(tmp_path, per_vector=per_vector, max_length=2, too_long=policy)
        assert (corpus.lengths()[:, 0] + 1).tolist() == lengths
        assert {reason: entry["count"] for reason, entry in corpus.ledger["dropped"].items()} == dropped
        assert {reason: entry["count"] for reason, entry in corpus.ledger["noted"].items()} == noted


def test_a_long_sequence_is_refused_by_default(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.npz:2: the sequence has 3 vectors, max_length is 2"):
        prepare(tmp_path, per_vector=False, max_length=2)


def test_no_batch_without_vectors_or_with_too_few_labels() -> None:
    with pytest.raises(ShapeError, match="at least one vector"):
        collate_vectors([np.zeros((0, 2), np.float32)], np.array([1]))
    with pytest.raises(ShapeError, match="got 2"):
        collate_vectors([np.zeros((1, 2), np.float32)], np.array([1, 2]))
