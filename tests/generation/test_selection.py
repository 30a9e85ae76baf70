"""Blockwise selection gives what sorting everything gives."""

from __future__ import annotations

import pytest
import torch

from clearhead.generation.selection import best_continuations, log_normalizer


@pytest.mark.parametrize("vocabulary", [1, 2, 5, 7, 11, 37, 101, 1009])
@pytest.mark.parametrize(("hypotheses", "count"), [(1, 1), (1, 2), (3, 6), (5, 10)])
def test_the_best_are_those_of_a_full_sort(vocabulary: int, hypotheses: int, count: int) -> None:
    logits, offsets = torch.randn(3, hypotheses, vocabulary), torch.randn(3, hypotheses)
    parents, tokens = best_continuations(logits, offsets, count)
    expected = (logits + offsets[..., None]).flatten(1).sort(dim=1, descending=True).indices[:, :count]
    assert torch.equal(parents * vocabulary + tokens, expected)


def test_all_of_the_best_may_stand_in_one_block_or_in_the_rest() -> None:
    logits = torch.zeros(1, 1, 1013)
    logits[0, 0, [0, 45, 90, 1010, 1011, 1012]] = torch.arange(1.0, 7.0)
    _, tokens = best_continuations(logits, torch.zeros(1, 1), 6)
    assert tokens.tolist() == [[1012, 1011, 1010, 90, 45, 0]]


def test_dead_hypotheses_and_forbidden_tokens_come_last() -> None:
    logits, offsets = torch.randn(1, 2, 50), torch.tensor([[-torch.inf, 0.0]])
    logits[0, 1, 7] = -torch.inf
    parents, tokens = best_continuations(logits, offsets, 49)
    assert parents.eq(1).all()
    assert 7 not in tokens


@pytest.mark.parametrize("shift", [0.0, 1e4, -1e4])
def test_the_normaliser_is_exact_and_cannot_overflow(shift: float) -> None:
    logits = (torch.randn(2, 3, 1009) * 5).double() + shift
    expected = logits.logsumexp(-1)
    assert torch.allclose(log_normalizer(logits.float()).double(), expected, rtol=1e-6, atol=1e-5)


def test_the_normaliser_leaves_the_logits_alone() -> None:
    logits = torch.randn(2, 3, 11)
    before = logits.clone()
    log_normalizer(logits)
    assert torch.equal(logits, before)
