"""The losses of labelling words and vectors: torch's cross-entropy over what has a label, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from clearhead.data.ragged import Ragged
from clearhead.data.tag_batch import UNSCORED, TagBatch, collate_tagged
from clearhead.data.vector_batch import collate_vectors
from clearhead.data.word_table import WordTable
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_only import EncoderOnly
from clearhead.training.labelling import labelling, tag_loss, vector_labelling, vector_loss

SIZES = {"architecture": "encoder", "width": 12, "heads": 3, "encoder_layers": 1, "feedforward": 8, "dropout": 0.0}
PIECES = Ragged.of([[5], [6, 7], [8], [4, 5, 6]])
NGRAMS = Ragged.of([[1], [2, 3], [], [4]])
WORDS = [np.array([0, 1, 2]), np.array([3, 1]), np.array([2])]
TAGS = [np.array([0, UNSCORED, 2]), np.array([1, 1]), np.array([0])]


def model(**more: object) -> EncoderOnly:
    config = ModelConfig.model_validate(SIZES | {"source_vocabulary": 9, "classes": 3} | more)
    built = build_model(config, seed=1).double()
    assert isinstance(built, EncoderOnly)
    return built


def expected(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    return functional.cross_entropy(
        logits.flatten(0, -2), labels.flatten(), ignore_index=UNSCORED, label_smoothing=smoothing, reduction="sum"
    )


@pytest.mark.parametrize("pooled", [True, False])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_tags_is_torchs_over_words_with_a_tag(pooled: bool, smoothing: float) -> None:
    pieces = PIECES if pooled else Ragged.of([[5], [6], [7], [8]])
    table = WordTable(pieces, None if pooled else NGRAMS, pooled)
    batch = collate_tagged(table, WORDS, TAGS)
    network = model(word_pooling="mean") if pooled else model(ngram_buckets=5)
    loss = labelling(smoothing)(network, batch, 1)
    logits = network.logits(batch.ids, mask=batch.mask, ngrams=batch.ngrams, words=batch.words)
    assert logits.shape == (3, 3, 3)
    torch.testing.assert_close(loss.total, expected(logits, batch.tags, smoothing))
    torch.testing.assert_close(loss.nll, expected(logits, batch.tags, 0.0).detach())
    assert loss.count == batch.tokens == 5


@pytest.mark.parametrize("pooled", [True, False])
def test_a_batch_and_its_parts_have_the_same_loss(pooled: bool) -> None:
    table = WordTable(PIECES if pooled else Ragged.of([[5], [6], [7], [8]]), None, pooled)
    network, batch = model(), collate_tagged(table, WORDS, TAGS)

    def total(part: TagBatch) -> Tensor:
        return tag_loss(network, part).total

    torch.testing.assert_close(total(batch), torch.stack([total(part) for part in batch.split(3)]).sum())


@pytest.mark.parametrize("pooling", ["none", "mean", "first", "attention"])
def test_the_loss_of_vectors_is_torchs(pooling: str) -> None:
    chance = np.random.default_rng(1)
    rows = [chance.normal(size=(length, 4)).astype(np.float32) for length in (2, 5, 3)]
    labels = np.array([0, UNSCORED, 2])
    each = [np.arange(len(row)) % 3 for row in rows]
    batch = collate_vectors(rows, each if pooling == "none" else labels)
    network = model(input_width=4, pooling=pooling).float()
    loss = vector_labelling(0.1)(network, batch, 1)
    logits = network.logits(batch.vectors, mask=batch.mask)
    torch.testing.assert_close(loss.total, expected(logits, batch.labels, 0.1))
    assert loss.count == batch.tokens
    parts = torch.stack([vector_loss(network, part, 0.1).total for part in batch.split(2)]).sum()
    torch.testing.assert_close(loss.total, parts)
