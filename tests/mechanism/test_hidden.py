"""What may not be seen does not exist: rows that see nothing are exactly 0, and NaN behind a mask never gets out."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import clearhead
from clearhead.mechanism import masks, paths, textbook
from clearhead.mechanism.masks import as_mask
from clearhead.mechanism.normalizers import NORMALIZERS
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import Additive, Bilinear

from .problems import DEVICES, PATHS, TOLERANCE, B, D, H, S, T, cast, largest_difference, queries_keys_values, tensor

DTYPES = [*TOLERANCE, torch.float16]
BLIND_ROW, BLIND_SENTENCE = 3, 1


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "TILE", B * H * S * 2)


def blinding(kind: str) -> tuple[dict[str, Any], Tensor]:
    """Settings of an attention in which some queries see nothing, and which they are (B, H, T)."""
    blind = torch.zeros(B, H, T, dtype=torch.bool)
    blind[:, :, BLIND_ROW] = True
    row = torch.ones(T, S, dtype=torch.bool)
    row[BLIND_ROW] = False
    bias = torch.zeros(T, S).masked_fill(~row, -math.inf)
    if kind == "tensor":
        return {"mask": as_mask(row)}, blind
    if kind == "bias":
        return {"bias": bias}, blind
    if kind == "mask and bias together":  # each leaves half of the keys
        half = torch.arange(S) < 4
        sees_half = torch.where(half[None], torch.zeros(T, S), bias)
        return {"mask": masks.where(lambda i, j: (i != BLIND_ROW) | (j < 4)), "bias": sees_half + bias}, blind
    if kind == "lengths":
        blind = torch.zeros_like(blind)
        blind[BLIND_SENTENCE] = True
        return {"mask": masks.lengths(torch.tensor([5, 0]))}, blind
    if kind == "one head":
        blind = torch.zeros_like(blind)
        blind[0, 2, BLIND_ROW] = True
        allowed = torch.ones(B, H, T, S, dtype=torch.bool)
        allowed[0, 2, BLIND_ROW] = False
        return {"mask": as_mask(allowed)}, blind
    assert kind == "everybody"
    return {"mask": masks.causal(-99)}, torch.ones_like(blind)


KINDS = ["tensor", "bias", "mask and bias together", "lengths", "one head", "everybody"]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_query_that_sees_nothing(kind: str, path: str, dtype: torch.dtype, device: str) -> None:
    settings, blind = blinding(kind)
    blind = blind.to(device)
    q, k, v = cast(queries_keys_values(), dtype, device)
    settings = {name: x.to(device) if isinstance(x, Tensor) else x for name, x in settings.items()}
    with torch.no_grad():
        predicted = PATHS[path](Problem(q, k, v, **settings))
    trained = PATHS[path](Problem(q, k, v, **settings))
    for output in (predicted, trained):
        assert (output[blind] == 0).all()
        assert torch.isfinite(output).all()
        assert (output[~blind] != 0).all()
    to_q, to_k, to_v = torch.autograd.grad(trained.float().square().sum() + trained.sum(), (q, k, v))
    assert (to_q[blind] == 0).all()
    assert all(torch.isfinite(gradient).all() for gradient in (to_q, to_k, to_v))
    if kind == "everybody":
        assert (to_k == 0).all()
        assert (to_v == 0).all()


@pytest.mark.parametrize("path", PATHS)
def test_nan_in_a_query_that_sees_nothing_stays_there(path: str) -> None:
    settings, blind = blinding("one head")
    clean = queries_keys_values()
    broken = clean[0].masked_fill(blind[..., None], math.nan), *clean[1:]
    results = []
    for tensors in (clean, broken):
        leaves = cast(tensors, torch.float32)
        output = PATHS[path](Problem(*leaves, **settings))
        results.append((output, *torch.autograd.grad(output.square().sum(), leaves)))
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("normalize", ["softmax", lambda scores: torch.softmax(scores, -1)], ids=["own", "callable"])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_a_query_that_sees_nothing(kind: str, normalize: Any) -> None:
    settings, blind = blinding(kind)
    q, k, v = cast(queries_keys_values(), torch.float64)
    weights = clearhead.attention_weights(q, k, **settings, normalize=normalize)
    assert (weights[blind] == 0).all()
    assert largest_difference(weights.sum(-1), (~blind).double()) < 1e-12
    to_q, to_k = torch.autograd.grad(weights.square().sum(), (q, k))
    assert (to_q[blind] == 0).all()
    assert torch.isfinite(to_q).all()
    assert torch.isfinite(to_k).all()
    output = clearhead.attention(q, k, v, **settings, normalize=normalize)
    assert (output[blind] == 0).all()
    assert all(torch.isfinite(x).all() for x in torch.autograd.grad(output.sum(), (q, k, v)))


@pytest.mark.parametrize("normalize", NORMALIZERS)
@pytest.mark.parametrize("path", ["products", "streamed"])
@pytest.mark.parametrize("kind", ["tensor", "bias", "everybody"])
def test_a_query_that_sees_nothing_under_every_normaliser(kind: str, path: str, normalize: Any) -> None:
    settings, blind = blinding(kind)
    q, k, v = cast(queries_keys_values(), torch.float32)
    score = Additive(D, 2)
    output = PATHS[path](Problem(q, k, v, **settings, score=score, normalize=normalize))
    assert (output[blind] == 0).all()
    to_q, *others = torch.autograd.grad(output.square().sum(), (q, k, v, *score.parameters()))
    assert (to_q[blind] == 0).all()
    assert all(torch.isfinite(gradient).all() for gradient in others)


def test_a_score_of_minus_infinity_masks_too() -> None:
    def score(q: Tensor, k: Tensor) -> Tensor:
        scores = q @ k.transpose(-2, -1)
        return torch.cat((scores[:, :, :1].fill_(-math.inf), scores[:, :, 1:]), dim=2)

    q, k, v = queries_keys_values()
    output = clearhead.attention(q, k, v, score=score)
    assert (output[:, :, 0] == 0).all()
    assert torch.isfinite(output).all()


HIDING = {
    "lengths": {"mask": masks.lengths(torch.tensor([5, 5]))},
    "boolean tensor": {"mask": torch.arange(S) < 5},
    "bias": {"bias": torch.where(torch.arange(S) < 5, 0.3, -math.inf)},
    "lengths, causal": {"mask": masks.lengths(torch.tensor([5, 5])) & masks.causal(3)},
    "lengths, softcap": {"mask": masks.lengths(torch.tensor([5, 5])), "softcap": 2.0},
    "lengths, callable score": {
        "mask": masks.lengths(torch.tensor([5, 5])),
        "score": lambda q, k: torch.tanh(q @ k.transpose(-2, -1)),
    },
    "lengths, additive": {"mask": masks.lengths(torch.tensor([5, 5])), "score": Additive(D, 3)},
    "bias, bilinear": {"bias": torch.where(torch.arange(S) < 5, 0.3, -math.inf), "score": Bilinear(D)},
    **{f"lengths, {name}": {"mask": masks.lengths(torch.tensor([5, 5])), "normalize": name} for name in NORMALIZERS},
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("hiding", HIDING)
def test_what_stands_behind_a_mask_never_gets_out(hiding: str, bad: float, dtype: torch.dtype, device: str) -> None:
    tensors = queries_keys_values(groups=2)
    settings = {name: x.to(device) if isinstance(x, Tensor | nn.Module) else x for name, x in HIDING[hiding].items()}
    results = []
    for fill in (0.0, bad):
        q, k, v = cast(tensors, dtype, device)
        k, v = k.detach().clone(), v.detach().clone()
        k[:, :, 5:], v[:, :, 5:] = fill, fill
        leaves = (q, k.requires_grad_(), v.requires_grad_())
        output = clearhead.attention(*leaves, **settings)
        weights = clearhead.attention_weights(q, k, **settings)
        with torch.no_grad():
            predicted = clearhead.attention(*leaves, **settings)
        gradients = torch.autograd.grad(output.float().square().sum(), leaves)
        more = torch.autograd.grad(weights.float().square().sum(), leaves[:2])
        results.append((output, weights, predicted, *gradients, *more))
    for clean, broken in zip(*results, strict=True):
        assert torch.isfinite(broken).all()
        assert torch.equal(clean, broken)


@pytest.mark.parametrize("place", ["key", "value"])
@pytest.mark.parametrize("how", ["mask", "bias"])
def test_only_those_who_see_a_nan_become_nan(how: str, place: str) -> None:
    """Key 4 of sentence 1 is NaN; the queries of a causal mask from row 4 on see it, in its own head group only."""
    q, k, v = (x.clone() for x in queries_keys_values(S, S, groups=2))
    clean = clearhead.attention(q, k, v, mask=masks.causal())
    (k if place == "key" else v)[1, 0, 4, 2] = math.nan
    causal = {"mask": masks.causal()}
    if how == "bias":
        causal = {"bias": torch.zeros(S, S).masked_fill(~masks.causal().full(S, S)[0, 0], -math.inf)}
    sees = torch.zeros(B, H, S, dtype=torch.bool)
    sees[1, :3, 4:] = True
    for output in (clearhead.attention(q, k, v, **causal), textbook.attention(q, k, v, **causal)):
        assert torch.isnan(output[sees]).any(-1).all()
        assert largest_difference(output[~sees], clean[~sees]) < 1e-12
    weights = clearhead.attention_weights(q, k, **causal)
    assert torch.isnan(weights[sees]).any() == (place == "key")
    assert torch.isfinite(weights[~sees]).all()


def test_the_textbook_hides_what_a_bias_hides() -> None:
    q, k, v = queries_keys_values()
    bias = torch.zeros(S).masked_fill(torch.arange(S) >= 5, -math.inf)
    wanted = textbook.attention(q, k[:, :, :5], v[:, :, :5])
    k, v = k.clone(), v.clone()
    k[:, :, 5:], v[:, :, 5:] = math.nan, math.nan
    assert largest_difference(textbook.attention(q, k, v, bias=bias), wanted) < 1e-13


def test_huge_scores_do_not_overflow() -> None:
    q, k, v = (100 * x for x in queries_keys_values())
    for path in PATHS.values():
        output = path(Problem(*cast((q, k, v), torch.float32), mask=masks.causal(1)))
        assert largest_difference(output, textbook.attention(q, k, v, mask=masks.causal(1))) < 1.0
        assert torch.isfinite(output).all()


def test_many_hidden_nans_cost_no_map() -> None:
    """Half of 4,096 keys are NaN behind a mask; looking for who sees them goes block by block."""
    q = tensor((1, 1, 4096, 2), 1).float()
    k = q.clone()
    k[:, :, 2048:] = math.nan
    output = clearhead.attention(q, k, k.clone(), mask=masks.lengths(torch.tensor([2048])))
    assert torch.isfinite(output).all()
