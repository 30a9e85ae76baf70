"""Rectangles and digests of a map are the whole map's, for every score, normaliser, mask and bias."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.inspection import tiles
from clearhead.inspection.digest import digest, walked
from clearhead.inspection.tiles import raw_scores, weight_rows, weights_tile
from clearhead.mechanism import biases, masks
from clearhead.mechanism.attention import attention_scores, attention_weights
from clearhead.mechanism.normalizers import NORMALIZERS
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import Additive, Bilinear

B, H, G, T, S, D = 2, 6, 3, 11, 13, 5
PARTS: list[Any] = [  # rows, columns, heads
    ((0, T), (0, S), None),
    ((3, 8), (2, 9), [5, 0]),
    ((10, 11), (0, 1), [3]),
    ((4, 4), (1, 3), None),
]
TIGHT = {"rtol": 0, "atol": 1e-12}
SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "causal, capped": {"mask": masks.causal(2), "softcap": 1.5, "scale": 0.7},
    "padding": {"mask": masks.lengths(torch.tensor([13, 4]))},
    "blind rows": {"mask": masks.where(lambda i, j: (j < i) & (i % 3 != 1))},
    "alibi": {"bias": biases.alibi(torch.linspace(0.1, 1, H, dtype=torch.float64)), "mask": masks.window(3, 1)},
    "barring bias": {"bias": torch.zeros(S, dtype=torch.float64).index_fill(0, torch.tensor([0, 7]), -torch.inf)},
    "additive": {"score": Additive(D, 4, H).double()},
    "bilinear": {"score": Bilinear(D, H).double(), "mask": masks.not_self()},
}


@pytest.fixture(autouse=True)
def few_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "HELD", 2 * B * H * S)


def problem(shape: str, normalize: Any = "softmax") -> Problem:
    torch.manual_seed(3)
    q, k, v = (torch.randn(B, *size, dtype=torch.float64) for size in ((H, T, D), (G, S, D), (G, S, 7)))
    return Problem(q, k, v, normalize=normalize, **SHAPES[shape])


def whole(given: Problem) -> torch.Tensor:
    shape = {"mask": given.mask, "bias": given.bias, "scale": given.scale, "softcap": given.softcap}
    return attention_weights(given.q, given.k, score=given.score, normalize=given.normalize, **shape)


@pytest.mark.parametrize("normalize", NORMALIZERS)
@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_a_rectangle_is_the_whole_maps(shape: str, normalize: str) -> None:
    given = problem(shape, normalize)
    known = digest(given).log_normalizer if normalize == "softmax" else None
    for rows, columns, heads in PARTS:
        expected = whole(given)[:, :, slice(*rows), slice(*columns)]
        expected = expected if heads is None else expected[:, heads]
        torch.testing.assert_close(weights_tile(given, rows, columns, heads, known), expected, **TIGHT)
    assert torch.equal(
        torch.cat([weights for _, weights in weight_rows(given)], 2), weights_tile(given, (0, T), (0, S))
    )


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
def test_scores_of_a_rectangle(shape: str) -> None:
    given = problem(shape)
    scores = attention_scores(
        given.q, given.k, bias=given.bias, scale=given.scale, softcap=given.softcap, score=given.score
    )
    torch.testing.assert_close(raw_scores(given, (2, 7), (3, 13), [4]), scores[:, [4], 2:7, 3:13], **TIGHT)


@pytest.mark.parametrize("shape", SHAPES)
@torch.no_grad()
@pytest.mark.parametrize("by", [digest, walked])
def test_a_digest_says_of_the_map_what_the_map_says(shape: str, by: Any) -> None:
    given = problem(shape)
    found, weights = by(given, 4), whole(given)
    expected = -(weights * weights.clamp(min=1e-300).log()).sum(-1)
    torch.testing.assert_close(found.entropy, expected, **TIGHT)
    torch.testing.assert_close(found.received, weights.sum(2), **TIGHT)
    first = 0 if given.mask is None else given.mask.first_query()
    away = (first + torch.arange(T)[:, None] - torch.arange(S)).abs().double()
    torch.testing.assert_close(found.mean_distance, (weights * away).sum(-1), **TIGHT)
    torch.testing.assert_close(found.top_weights, weights.sort(-1, descending=True).values[..., :4], **TIGHT)
    there = found.top_indices >= 0
    assert torch.equal(there, found.top_weights > 0)
    torch.testing.assert_close(weights.gather(-1, found.top_indices.clamp(min=0))[there], found.top_weights[there])
    assert torch.equal(found.log_normalizer == -torch.inf, weights.sum(-1) == 0)


@torch.no_grad()
def test_shares_where_weights_do_not_sum_to_one() -> None:
    """By hand: weights 3, 1 and 0 are shares 3/4, 1/4, 0; entropy ln 4 − 3/4 ln 3."""
    q, k = (
        torch.ones(1, 1, 1, 1, dtype=torch.float64),
        torch.tensor([3.0, 1.0, -5.0], dtype=torch.float64)[None, None, :, None],
    )
    found = digest(Problem(q, k, k, scale=1.0, normalize="relu"), top_k=5)
    assert found.entropy.item() == pytest.approx(1.3862943611 - 0.75 * 1.0986122887)
    assert found.mean_distance.item() == pytest.approx(0.25)
    assert found.received.tolist() == [[[3.0, 1.0, 0.0]]]
    assert found.top_indices.tolist() == [[[[0, 1, -1, -1, -1]]]]


def test_what_is_not_on_the_map_is_refused() -> None:
    for rows, columns, heads, said in [
        ((0, T + 1), (0, S), None, rf"rows: .*within 0 … {T}, got"),
        ((0, T), (5, 4), None, rf"columns: .*within 0 … {S}, got"),
        ((0, T), (0, S), [H], rf"heads: .*from 0 to {H - 1}, got {H}"),
    ]:
        with pytest.raises(ConfigurationError, match=said):
            weights_tile(problem("plain"), rows, columns, heads)
