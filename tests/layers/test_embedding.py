"""Embeddings and positions against the paper's formulas, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from clearhead.errors import ShapeError
from clearhead.layers.embedding import (
    POSITIONS,
    UNKNOWN,
    Additions,
    Embedding,
    LearnedPositions,
    RuledPositions,
    Spelling,
    Vectors,
    sinusoids,
)

WIDTH, LIMIT, WORDS = 7, 11, 13


def embedding(kind: str, dropout: float = 0.0) -> Embedding:
    positions = POSITIONS[kind](LIMIT, WIDTH)
    if isinstance(positions, LearnedPositions):
        nn.init.normal_(positions.weight)
    return Embedding(nn.Embedding(WORDS, WIDTH), positions, LIMIT, dropout)


@pytest.mark.parametrize("width", [1, 2, 7, 8])
def test_sinusoids_number_by_number(width: int) -> None:
    table = sinusoids(LIMIT, width)
    assert table.shape == (LIMIT, width)
    for position in range(LIMIT):
        for column in range(width):
            angle = position / 10000 ** (2 * (column // 2) / width)
            right = math.sin(angle) if column % 2 == 0 else math.cos(angle)
            assert table[position, column].item() == pytest.approx(right, abs=1e-7)


def test_known_rows_of_the_sinusoids() -> None:
    """Position 0 is 0, 1, 0, 1, …; position 1 begins with sin 1 = 0.8414710 and cos 1 = 0.5403023."""
    table = sinusoids(2, 4)
    assert table[0].tolist() == [0.0, 1.0, 0.0, 1.0]
    assert table[1].tolist() == pytest.approx([0.8414710, 0.5403023, 0.0099998, 0.9999500], abs=1e-6)


@pytest.mark.parametrize("kind", POSITIONS)
def test_a_row_is_the_token_times_root_of_width_plus_its_position(kind: str) -> None:
    layer = embedding(kind)
    ids = torch.randint(WORDS, (3, 5))
    rows = layer(ids, start=2)
    positions = layer.positions(2, 5)
    for b in range(3):
        for t in range(5):
            place = positions[t] if isinstance(positions, torch.Tensor) else positions
            wanted = layer.tokens.weight[ids[b, t]] * math.sqrt(WIDTH) + place
            torch.testing.assert_close(rows[b, t], wanted)


@pytest.mark.parametrize("kind", POSITIONS)
def test_a_sequence_in_two_parts_is_the_sequence(kind: str) -> None:
    layer = embedding(kind)
    ids = torch.randint(WORDS, (3, 7))
    parts = torch.cat((layer(ids[:, :3]), layer(ids[:, 3:], start=3)), dim=1)
    assert torch.equal(layer(ids), parts)


def test_more_positions_than_there_are_is_refused_with_both_numbers() -> None:
    layer = embedding("none")
    assert layer(torch.zeros(1, LIMIT, dtype=torch.int64)).shape == (1, LIMIT, WIDTH)
    with pytest.raises(ShapeError, match=r"11 positions \(max_positions\), the input needs 12"):
        layer(torch.zeros(1, 5, dtype=torch.int64), start=7)


def test_dropout_acts_on_the_sum() -> None:
    layer = embedding("sinusoidal", dropout=0.5)
    rows = layer(torch.randint(WORDS, (5, 7)))
    assert 0.3 < (rows == 0).double().mean() < 0.7


@pytest.mark.parametrize("kind", POSITIONS)
def test_places_may_be_said_one_by_one(kind: str) -> None:
    layer, ids = embedding(kind), torch.randint(WORDS, (2, 5))
    counted = torch.arange(3, 8).expand(2, 5)
    torch.testing.assert_close(layer(ids, places=counted), layer(ids, start=3))
    again = torch.tensor([[0, 1, 2, 0, 1]] * 2)
    parts = torch.cat((layer(ids[:, :3]), layer(ids[:, 3:])), dim=1)
    torch.testing.assert_close(layer(ids, places=again), parts)


def test_a_users_rule_for_positions() -> None:
    positions = RuledPositions(LIMIT, WIDTH, lambda places: places[:, None] * torch.ones(WIDTH))
    layer, ids = Embedding(nn.Embedding(WORDS, WIDTH), positions, LIMIT, 0.0), torch.randint(WORDS, (2, 5))
    rows = layer.tokens(ids) * math.sqrt(WIDTH) + torch.arange(2, 7)[:, None]
    torch.testing.assert_close(layer(ids, start=2), rows)
    assert not layer.positions.state_dict()
    with pytest.raises(ShapeError, match=r"must give \(n, W\) = \(11, 7\), got \(11, 1\)"):
        RuledPositions(LIMIT, WIDTH, lambda places: places[:, None])


def spelled(token_dropout: float = 0.0) -> Embedding:
    positions = POSITIONS["none"](LIMIT, WIDTH)
    return Embedding(
        nn.Embedding(WORDS, WIDTH), positions, LIMIT, 0.0, token_dropout, Additions(spelling=Spelling(17, WIDTH))
    )


def test_a_word_is_its_row_and_the_mean_of_its_ngrams() -> None:
    layer, ids = spelled(), torch.randint(1, WORDS, (2, 3))
    ngrams = torch.tensor([[[3, 5, 0, 0], [16, 0, 0, 0], [0, 0, 0, 0]], [[1, 1, 2, 0], [4, 5, 6, 7], [9, 0, 8, 0]]])
    rows = layer(ids, ngrams=ngrams)
    assert layer.spelling is not None
    table = layer.spelling.rows.weight
    for b in range(2):
        for t in range(3):
            found = [table[int(n)] for n in ngrams[b, t] if n]
            mean = torch.stack(found).mean(0) if found else torch.zeros(WIDTH)
            torch.testing.assert_close(rows[b, t], (layer.tokens.weight[ids[b, t]] + mean) * math.sqrt(WIDTH))


def test_ngrams_that_are_missing_or_do_not_fit_are_refused() -> None:
    for ngrams in (None, torch.zeros(2, 4, 5).long(), torch.zeros(2, 3, 5)):
        with pytest.raises(ShapeError, match=r"needs ngrams \(B, T, N\) int64 for ids \(2, 3\)"):
            spelled()(torch.ones(2, 3).long(), ngrams=ngrams)


def test_token_dropout_makes_some_unknown_and_leaves_padding_and_ngrams_alone() -> None:
    layer, ids = spelled(token_dropout=0.4), torch.randint(2, WORDS, (40, 10))
    ids[:, 8:] = 0
    ngrams = torch.randint(1, 17, (40, 10, 3))
    rows = layer(ids, ngrams=ngrams)
    wanted = layer.eval()(ids, ngrams=ngrams)
    unknown = layer(torch.where(ids > 0, UNKNOWN, 0), ngrams=ngrams)
    kept, lost = (torch.isclose(rows, other).all(-1) for other in (wanted, unknown))
    assert (kept | lost).all()
    assert kept[:, 8:].all()
    assert 0.3 < (~kept[:, :8]).float().mean() < 0.5


def test_vectors_go_through_one_map() -> None:
    layer, vectors = Vectors(3, WIDTH, POSITIONS["sinusoidal"](LIMIT, WIDTH), LIMIT, 0.0), torch.randn(2, 5, 3)
    wanted = vectors @ layer.into.weight.t() + layer.into.bias + sinusoids(LIMIT, WIDTH)[:5]
    torch.testing.assert_close(layer(vectors), wanted)
    with pytest.raises(ShapeError, match="11 positions"):
        layer(torch.randn(1, LIMIT + 1, 3))
