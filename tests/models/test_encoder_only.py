"""Encoders with a head: what the head reads, what vectors, n-grams, words and graphs do, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, ShapeError
from clearhead.layers.pooling import POOLING
from clearhead.mechanism import masks
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_only import EncoderOnly

WORDS, CLASSES, B, T, F = 31, 5, 3, 7, 9
REAL = torch.arange(T) < torch.tensor([[7], [4], [1]])
BODIES = ["transformer", "lstm"]
TIGHT = {"rtol": 0, "atol": 1e-12}


def model(body: str = "transformer", **changes: Any) -> EncoderOnly:
    config = ModelConfig(
        architecture="encoder", body=body, width=12, heads=2, feedforward=13, encoder_layers=2, max_positions=11,
        source_vocabulary=WORDS, classes=CLASSES, **changes,
    )  # fmt: skip
    built = build_model(config, seed=1).double().eval()
    assert isinstance(built, EncoderOnly)
    return built


def ids() -> Tensor:
    return torch.randint(4, WORDS, (B, T))


@pytest.mark.parametrize("body", BODIES)
def test_a_label_for_every_position(body: str) -> None:
    network, source = model(body), ids()
    states, logits = network.states(source, mask=REAL), network.logits(source, mask=REAL)
    assert states.shape == (B, T, 12)
    torch.testing.assert_close(logits, states @ network.output_weight.t() + network.output_bias, **TIGHT)
    assert torch.equal(network(source, mask=REAL), logits)


@pytest.mark.parametrize("pooling", POOLING)
@pytest.mark.parametrize("body", BODIES)
def test_a_label_for_the_whole(body: str, pooling: str) -> None:
    network, source = model(body, pooling=pooling), ids()
    assert network.pooling is not None
    pooled = network.pooling(network.states(source, mask=REAL), REAL)
    logits = network.logits(source, mask=REAL)
    assert logits.shape == (B, CLASSES)
    torch.testing.assert_close(logits, network.output(pooled), **TIGHT)
    for row, length in enumerate((7, 4, 1)):
        alone = network.logits(source[row : row + 1, :length])
        torch.testing.assert_close(logits[row], alone[0], rtol=0, atol=1e-7)


@pytest.mark.parametrize("pooling", ["first", "mean"])
@pytest.mark.parametrize("body", BODIES)
def test_a_label_for_every_word(body: str, pooling: str) -> None:
    """Padding belongs to no word, whatever number stands there."""
    network, source = model(body, word_pooling=pooling), ids()
    words = torch.tensor([[0, 0, 1, 2, 2, 2, 3], [0, 1, 1, 1, 7, 7, 7], [0, 7, 7, 7, 7, 7, 7]])
    logits = network.logits(source, mask=REAL, words=words)
    assert logits.shape == (B, 4, CLASSES)
    states = network.states(source, mask=REAL)
    piece = states[1, 1] if pooling == "first" else states[1, 1:4].mean(0)
    torch.testing.assert_close(logits[1, 1], network.output(piece), **TIGHT)
    with pytest.raises(ConfigurationError, match=r'pooling = "mean" makes one vector of the whole'):
        model(body, pooling="mean").logits(source, words=words)


@pytest.mark.parametrize("body", BODIES)
def test_vectors_in_place_of_tokens(body: str) -> None:
    network, vectors = model(body, input_width=F), torch.randn(B, T, F).double()
    logits = network.logits(vectors, mask=REAL)
    spoilt = vectors.masked_fill(~REAL[..., None], torch.nan)
    assert torch.equal(network.logits(spoilt, mask=REAL)[REAL], logits[REAL])
    assert not [name for name, _ in network.named_parameters() if "tokens" in name]
    for wrong in (vectors[..., 1:], vectors[0], ids()):
        with pytest.raises(ShapeError, match=r"\(B, T, input_width = 9\)"):
            network.logits(wrong)


@pytest.mark.parametrize("body", BODIES)
def test_ngrams_reach_the_answer_and_their_rows_learn(body: str) -> None:
    network, source = model(body, ngram_buckets=17, token_dropout=0.2), ids()
    ngrams = torch.randint(1, 17, (B, T, 4))
    other = ngrams.clone()
    other[0, 2, 1] = ngrams[0, 2, 1] % 16 + 1
    assert not torch.equal(network.logits(source, ngrams=ngrams)[0], network.logits(source, ngrams=other)[0])
    network.train().logits(source, ngrams=ngrams).square().sum().backward()
    gradient = network.encoder.embedding.spelling.rows.weight.grad
    assert (gradient[ngrams.unique()] != 0).any(-1).all()
    assert (gradient[0] == 0).all()


def test_first_rows_of_ngrams_make_up_a_word() -> None:
    embedding = build_model(ModelConfig(architecture="encoder", ngram_buckets=4000), seed=1).encoder.embedding
    mean = embedding.spelling(torch.zeros(50, 10), torch.randint(1, 4000, (50, 10, 20)))
    assert mean.std().item() == pytest.approx(embedding.tokens.weight.std().item(), rel=0.03)


def test_edges_of_a_graph_narrow_who_is_seen() -> None:
    """Node 0 sees 1, which sees 2: after two layers 0 knows 2 and not 3, and nobody knows 0."""
    network, source = model(positions="none"), ids()[:1, :4]
    edges = torch.tensor([[0, 0], [0, 1], [1, 1], [1, 2], [2, 2], [3, 3], [2, 3]])
    visible = masks.graph(edges, 4)
    before = network.states(source, visible=visible)
    reached = []
    for node in range(4):
        changed = source.clone()
        changed[0, node] = (source[0, node] - 4 + 5) % 27 + 4
        after = network.states(changed, visible=visible)
        reached.append([bool((after[0, n] != before[0, n]).any()) for n in range(4)])
    assert reached == [
        [True, False, False, False],
        [True, True, False, False],
        [True, True, True, False],
        [False, True, True, True],
    ]
    with pytest.raises(ConfigurationError, match="lstm"):
        model("lstm").states(source, visible=visible)


def test_a_window_bounds_how_far_is_seen() -> None:
    network, source = model(window=1), ids()
    changed = source.clone()
    changed[:, 0] = (source[:, 0] - 4 + 5) % 27 + 4
    same = (network.states(source) == network.states(changed)).all(-1)
    assert same[:, 3:].all()  # two layers of one neighbour each
    assert not same[:, :3].any()


def test_batch_norm_learns_in_training_and_is_right_in_evaluation() -> None:
    """In training a row depends on its batch, in evaluation it does not; padding counts in neither."""
    network, source = model(norm="batch", dropout=0.0), ids()
    network.train()
    first = network.states(source, mask=REAL)
    other = torch.where(REAL, source, ids())
    assert torch.equal(network.states(other, mask=REAL)[REAL], first[REAL])
    assert not torch.equal(network.states(source[:1]), first[:1])
    network.eval()
    together = network.states(source, mask=REAL)
    for row, length in enumerate((7, 4, 1)):
        alone = network.states(source[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0], **TIGHT)


def test_dropout_of_the_input_may_differ() -> None:
    assert model(dropout=0.3).encoder.embedding.dropout.p == 0.3
    assert model(dropout=0.3, embedding_dropout=0.0).encoder.embedding.dropout.p == 0.0
    assert model(input_width=F, embedding_dropout=0.1).encoder.embedding.dropout.p == 0.1
