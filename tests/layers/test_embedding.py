"""Embeddings and positions against the paper's formulas, and what they refuse."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from clearhead.errors import ShapeError
from clearhead.layers.embedding import POSITIONS, Embedding, LearnedPositions, sinusoids

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
