"""Scores with weights against their equations written out pair by pair, gradients included."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import clearhead
from clearhead.errors import ConfigurationError, ShapeError
from clearhead.mechanism import additive, masks, paths
from clearhead.mechanism.additive import additive_scores
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import Additive, Bilinear, product_queries

from .problems import DEVICES, B, D, G, H, S, T, cast, largest_difference, queries_keys_values, tensor

E = 3  # hidden width
HEADS = [None, H]


def by_pairs(score: Additive, q: Tensor, k: Tensor) -> Tensor:
    """w · tanh(W_q q + W_k k) with all of tanh in memory, (B, H, T, S, E)."""
    inside = (q @ score.query)[:, :, :, None] + (k @ score.key)[:, :, None]
    weight = score.weight if score.weight.dim() == 1 else score.weight[:, None, None]
    return (torch.tanh(inside) * weight).sum(-1)


def test_a_case_worked_by_hand() -> None:
    """2 · tanh(0.5 · 1 + 0.25 · 2) = 2 · 0.76159416; 2 · 0.5 · 3 · (−4) · … for the bilinear one: 3 · 0.5 · (−4)."""
    score = Additive(1, 1).double()
    with torch.no_grad():
        score.query.fill_(0.5), score.key.fill_(0.25), score.weight.fill_(2.0)
    one, two = (torch.full((1, 1, 1, 1), x, dtype=torch.float64) for x in (1.0, 2.0))
    assert score(one, two).item() == pytest.approx(1.52318831, abs=1e-8)
    bilinear = Bilinear(1).double()
    with torch.no_grad():
        bilinear.weight.fill_(0.5)
    assert bilinear(3 * one, -2 * two).item() == pytest.approx(-6.0)


@pytest.mark.parametrize("tile", [1, 50, 10**9])
@pytest.mark.parametrize("heads", HEADS, ids=["shared", "by head"])
def test_additive_is_its_equation(heads: int | None, tile: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(additive, "ON_PROCESSOR", tile)
    score = Additive(D, E, heads).double()
    q, k, _ = cast(queries_keys_values(), torch.float64)
    leaves = (q, k, *score.parameters())
    ours, wanted = score(q, k), by_pairs(score, q, k)
    assert largest_difference(ours, wanted) < 1e-14
    direction = tensor((B, H, T, S), 5)
    for got, right in zip(
        torch.autograd.grad((ours * direction).sum(), leaves),
        torch.autograd.grad((wanted * direction).sum(), leaves),
        strict=True,
    ):
        assert largest_difference(got, right) < 1e-12


def test_additive_gradients_are_those_of_finite_differences() -> None:
    q, k, w = (
        tensor((2, *sizes, 1), seed)[..., 0].requires_grad_() for seed, sizes in enumerate([(3, E), (5, E), (E,)])
    )
    assert torch.autograd.gradcheck(additive_scores, (q, k, w))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_additive_in_other_precisions(dtype: torch.dtype, device: str) -> None:
    score = Additive(D, E, H).to(device)
    q, k, _ = cast(queries_keys_values(), dtype, device)
    ours = score(q, k)
    wanted = by_pairs(score.cpu().double(), q.detach().cpu().double(), k.detach().cpu().double())
    assert ours.dtype == dtype
    assert largest_difference(ours, wanted) < (1e-5 if dtype == torch.float32 else 5e-2)


def test_additive_sums_in_full_precision_under_autocast() -> None:
    score = Additive(D, 64, H)
    q, k, _ = cast(queries_keys_values(), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        ours = score(q, k)
    assert largest_difference(ours, by_pairs(score, q, k)) < 5e-2
    assert all(torch.isfinite(x).all() for x in torch.autograd.grad(ours.sum(), (q, k, *score.parameters())))


@pytest.mark.parametrize("heads", HEADS, ids=["shared", "by head"])
def test_bilinear_is_its_equation(heads: int | None) -> None:
    score = Bilinear(D, heads).double()
    q, k, _ = queries_keys_values()
    weight = score.weight.expand(H, D, D)
    assert largest_difference(score(q, k), torch.einsum("bhtd,hde,bhse->bhts", q, weight, k)) < 1e-13


def test_a_bilinear_score_with_the_identity_is_the_scaled_dot_product() -> None:
    score = Bilinear(D).double()
    with torch.no_grad():
        score.weight.copy_(torch.eye(D, dtype=torch.float64) / math.sqrt(D))
    q, k, v = queries_keys_values(groups=G)
    for path in (paths.fused, paths.products, paths.streamed):
        ours = path(Problem(q, k, v, masks.causal(1), score=score))
        assert largest_difference(ours, clearhead.attention(q, k, v, mask=masks.causal(1))) < 1e-13


def test_bilinear_goes_with_the_fused_kernel_and_additive_does_not() -> None:
    q, k, v = queries_keys_values()
    assert paths.choose(Problem(q, k, v, score=Bilinear(D).double())) is paths.fused
    assert paths.choose(Problem(q, k, v, score=Additive(D, E).double())) is paths.products
    assert product_queries("dot", q) is q


@pytest.mark.parametrize("make", [lambda: Bilinear(64, H), lambda: Additive(64, 64, H)], ids=["bilinear", "additive"])
def test_fresh_weights_give_scores_that_do_not_saturate(make) -> None:
    q, k = (torch.randn(B, H, 50, 64) for _ in range(2))
    assert 0.2 < make()(q, k).std().item() < 1.5


def test_refused() -> None:
    q, k, v = queries_keys_values()
    with pytest.raises(
        ShapeError, match=rf"Additive was made for 2 heads of width 4, got q .* = \({B}, {H}, {T}, {D}\)"
    ):
        clearhead.attention(q, k, v, score=Additive(4, E, 2).double())
    with pytest.raises(ShapeError, match=r"Bilinear was made for 6 heads of width 5"):
        clearhead.attention(q, k, v, score=Bilinear(5).double())
    for make, word in (
        (lambda: Additive(4, 0), "hidden"),
        (lambda: Additive(0, 4), "key_width"),
        (lambda: Bilinear(4, 0), "heads"),
    ):
        with pytest.raises(ConfigurationError, match=f"needs a {word} of at least 1, got 0"):
            make()
    with pytest.raises(
        ConfigurationError, match=r"'additive'; it has weights: give clearhead.scores.Additive\(D, hidden\)"
    ):
        clearhead.attention(q, k, v, score="additive")
