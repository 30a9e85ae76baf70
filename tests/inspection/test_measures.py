"""Measures of heads: a map worked out by hand, the whole map's own numbers at any length, and heads that copy."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.digest import first_place
from clearhead.inspection.induction import copying_scores
from clearhead.inspection.measures import Measures, measure, together
from clearhead.inspection.record import AttentionRecord
from clearhead.mechanism import biases, masks
from clearhead.mechanism.multihead import AttentionStep, HeadSizes

EXACT = {"rtol": 0, "atol": 1e-12}


def record(q: Tensor, k: Tensor, **shape: Any) -> AttentionRecord:
    output = nn.Linear(q.shape[1] * 2, 3).double()
    return AttentionRecord(
        "decoder.0.self", q, k, k.new_zeros(*k.shape[:3], 2), shape.pop("mask", None), q, output, **shape
    )


def given(weights: Tensor) -> AttentionRecord:
    """A record of one head with these weights: the queries are unit vectors, the keys the weights' logarithms."""
    q, k = torch.eye(len(weights), dtype=torch.float64), weights.log().clamp(min=-1e9).t()
    return record(q[None, None], k[None, None].contiguous(), score="dot", mask=masks.as_mask(weights > 0))


CAUSAL = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0], [0.25, 0.25, 0.5]], dtype=torch.float64)


def test_a_map_by_hand() -> None:
    found = measure(given(CAUSAL), marked=torch.tensor([False, True, False]))
    expected = {
        "entropy": 2.5 * math.log(2) / 3, "distance": (0 + 0.5 + 0.75) / 3, "diagonal": 2 / 3, "previous": 0.25,
        "next": 0.0, "first": 1.75 / 3, "marked": 0.25, "queries": 3.0,
    }  # fmt: skip
    assert found.as_dict() == {name: [pytest.approx(value, abs=1e-9)] for name, value in expected.items()}


def test_several_calls_count_by_their_queries() -> None:
    one = given(torch.tensor([[0.0, 1.0]], dtype=torch.float64))
    both: Measures = together([measure(given(CAUSAL)), measure(one)])
    assert both.queries.item() == 4
    assert both.next.item() == pytest.approx(0.25)
    assert both.diagonal.item() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "shape",
    [
        {"mask": masks.causal()},
        {"mask": masks.causal(20)},
        {"mask": masks.window(3, 70) & masks.not_self()},
        {"bias": biases.alibi(torch.tensor([0.5, 0.1, 0.01], dtype=torch.float64)), "normalize": "sigmoid"},
        {"mask": masks.where(lambda i, j: (j <= i) & (i % 5 != 0)), "normalize": "entmax15"},
    ],
    ids=str,
)
def test_they_are_the_whole_maps(shape: dict[str, Any]) -> None:
    """Longer than one band, with more keys than queries and queries that see nothing."""
    torch.manual_seed(1)
    q, k = torch.randn(2, 3, 150, 5, dtype=torch.float64), torch.randn(2, 3, 170, 5, dtype=torch.float64)
    seen, marked = record(q, k, **shape), torch.arange(170) % 7 == 3
    found, weights = measure(seen, marked), seen.weights()
    total = weights.sum((0, 2, 3))
    place = torch.arange(150)[:, None] + first_place(seen.problem())
    away = torch.arange(170) - place
    for name, where in (("diagonal", away == 0), ("previous", away == -1), ("next", away == 1)):
        torch.testing.assert_close(getattr(found, name), (weights * where).sum((0, 2, 3)) / total, **EXACT)
    torch.testing.assert_close(found.first, weights[..., 0].sum((0, 2)) / total, **EXACT)
    torch.testing.assert_close(found.marked, weights[..., marked].sum((0, 2, 3)) / total, **EXACT)
    seeing = (weights.sum(-1) > 0).sum((0, 2)).double()
    shares = weights / weights.sum(-1, keepdim=True).clamp(min=1e-300)
    torch.testing.assert_close(found.queries, seeing)
    torch.testing.assert_close(found.distance, (shares * away.abs()).sum((0, 2, 3)) / seeing, **EXACT)
    torch.testing.assert_close(found.entropy, -torch.xlogy(shares, shares).sum((0, 2, 3)) / seeing, **EXACT)


def test_marks_must_fit() -> None:
    with pytest.raises(ConfigurationError, match="marked must say of each of the 3 keys"):
        measure(given(CAUSAL), marked=torch.tensor([True]))


class Copier(nn.Module):
    """One attention of two heads that cannot but copy: one looks behind the same token, one at it."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.decoder = nn.Module()
        self.decoder.self_attention = nn.Module()
        self.decoder.self_attention.step = AttentionStep()
        self.decoder.self_attention.output = nn.Linear(2, 2)
        self.decoder.self_attention.sizes = HeadSizes(2, 2, 2, words, 1)
        self.words = words

    def forward(self, ids: Tensor) -> None:
        now = nn.functional.one_hot(ids, self.words).float()
        before = torch.cat((torch.zeros_like(now[:, :1]), now[:, :-1]), dim=1)
        q = 100 * torch.stack((now, now), dim=1)
        others = masks.causal() & masks.not_self()
        self.decoder.self_attention.step(q, torch.stack((before, now), dim=1), q[..., :1], others)


def test_heads_that_copy_score_one_and_the_other_nought() -> None:
    model = Copier(40)
    found = copying_scores(model, model, range(4, 40), length=11, rows=3, start=[2])["decoder.0.self"]
    torch.testing.assert_close(found.induction, torch.tensor([1.0, 0.0]), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.duplicate, torch.tensor([0.0, 1.0]), atol=1e-4, rtol=0)
    with pytest.raises(ConfigurationError, match="at most the 3 tokens to draw from, got 11"):
        copying_scores(model, model, range(3), length=11)
