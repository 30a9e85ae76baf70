"""Pooling position by position and piece by piece, in plain loops; padding counts for nothing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from clearhead.errors import ShapeError
from clearhead.layers.pooling import POOLING, WORD_POOLING, AttentionPooling

B, T, WIDTH = 4, 5, 7
REAL = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [False, True, False, True, True], [False] * 5])
WORDS = torch.tensor([[0, 0, 1, 2, 2], [1, 0, 1, -1, -1], [-1, -1, -1, -1, -1], [3, -1, 3, 0, 3]])


def by_hand(kind: str, layer: torch.nn.Module, rows: Tensor) -> Tensor:
    """rows (n, W), the real ones."""
    if not len(rows):
        return torch.zeros(WIDTH, dtype=rows.dtype)
    if kind == "first":
        return rows[0]
    if kind == "mean":
        return rows.sum(0) / len(rows)
    if kind == "first_tanh":
        dense = layer.get_submodule("dense")
        return torch.tanh(dense.weight @ rows[0] + dense.bias)
    assert isinstance(layer, AttentionPooling)
    scores = [math.exp(layer.query.weight[0] @ torch.tanh(layer.key.weight @ row + layer.key.bias)) for row in rows]
    return sum(score / sum(scores) * row for score, row in zip(scores, rows, strict=True))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", POOLING)
@torch.no_grad()
def test_pooling_row_by_row(kind: str, padded: bool) -> None:
    layer, states = POOLING[kind](WIDTH).double(), torch.randn(B, T, WIDTH, dtype=torch.float64)
    hidden = torch.where(REAL[..., None], states, math.nan) if padded else states
    pooled = layer(hidden, REAL if padded else None)
    for b in range(B):
        rows = states[b][REAL[b]] if padded else states[b]
        torch.testing.assert_close(pooled[b], by_hand(kind, layer, rows), rtol=0, atol=1e-6)


def test_the_weights_of_attention_pooling_can_be_seen() -> None:
    weights = AttentionPooling(WIDTH).weights(torch.randn(B, T, WIDTH), REAL)
    assert (weights[~REAL] == 0).all()
    torch.testing.assert_close(weights.sum(1), REAL.any(1).float())


def test_a_row_of_padding_sends_back_finite_gradients() -> None:
    for kind in POOLING:
        states = torch.randn(B, T, WIDTH, requires_grad=True)
        POOLING[kind](WIDTH)(states, REAL).square().sum().backward()
        assert states.grad is not None
        assert torch.isfinite(states.grad).all(), kind
        assert (states.grad[~REAL] == 0).all(), kind


@pytest.mark.parametrize("kind", WORD_POOLING)
def test_words_piece_by_piece(kind: str) -> None:
    states = torch.randn(B, T, WIDTH)
    pooled = WORD_POOLING[kind](states, WORDS)
    assert pooled.shape == (B, 4, WIDTH)
    for b in range(B):
        for word in range(4):
            pieces = states[b][WORDS[b] == word]
            wanted = torch.zeros(WIDTH) if not len(pieces) else pieces[0] if kind == "first" else pieces.mean(0)
            torch.testing.assert_close(pooled[b, word], wanted)


def test_word_numbers_that_do_not_fit_are_refused() -> None:
    for words in (WORDS[:, 1:], WORDS.int()):
        with pytest.raises(ShapeError, match=r"words must be int64 of shape \(4, 5\)"):
            WORD_POOLING["mean"](torch.randn(B, T, WIDTH), words)
