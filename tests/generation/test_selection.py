"""Blockwise selection gives what sorting everything gives."""

from __future__ import annotations

import pytest
import torch

from clearhead.generation.selection import best_continuations, log_normalizer


@pytest.mark.parametrize("vocabulary", [1, 2, 5, 31, 32, 33, 101, 509, 1009, 1024])
@pytest.mark.parametrize(("hypotheses", "count"), [(1, 1), (1, 2), (3, 6), (5, 10)])
def test_the_best_are_those_of_a_full_sort(vocabulary: int, hypotheses: int, count: int) -> None:
    logits, offsets = torch.randn(3, hypotheses, vocabulary), torch.randn(3, hypotheses)
    found = best_continuations(logits, offsets, count)
    expected = (logits + offsets[..., None]).flatten(1).sort(dim=1, descending=True)
    assert torch.equal(found.parents * vocabulary + found.tokens, expected.indices[:, :count])
    assert torch.equal(found.scores, expected.values[:, :count])


def test_all_of_the_best_may_stand_in_one_block_or_at_the_end() -> None:
    logits = torch.zeros(1, 1, 1013)
    logits[0, 0, [0, 96, 192, 1010, 1011, 1012]] = torch.arange(1.0, 7.0)
    assert best_continuations(logits, torch.zeros(1, 1), 6).tokens.tolist() == [[1012, 1011, 1010, 192, 96, 0]]


def test_dead_hypotheses_and_forbidden_tokens_come_last_with_score_minus_infinity() -> None:
    logits, offsets = torch.randn(1, 2, 1013), torch.tensor([[-torch.inf, 0.0]])
    logits[0, 1, 7] = -torch.inf
    found = best_continuations(logits, offsets, 1020)
    assert found.parents[0, :1012].eq(1).all()
    assert sorted(found.tokens[0, :1012].tolist()) == [token for token in range(1013) if token != 7]
    assert found.scores.isfinite().sum() == 1012


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
