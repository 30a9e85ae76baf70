"""Blocks computed again in the backward pass: whoever takes part gets its gradient, however the callable holds it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clearhead.mechanism import biases, paths, textbook
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import Additive, Bilinear

from .problems import B, D, G, H, S, T, cast, gradients, largest_difference, queries_keys_values, tensor


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "TILE", B * H * S * 2)


def test_a_callable_that_holds_a_graph_of_its_own() -> None:
    """Its weight is computed from another tensor, once, and every block hangs on that graph."""
    weight = tensor((1, 1, 1, D), 3).requires_grad_()
    shared = weight.exp()

    def score(q: Tensor, k: Tensor) -> Tensor:
        return (q * shared) @ k.transpose(-2, -1)

    leaves = (*cast(queries_keys_values(), torch.float64), weight)
    ours = paths.streamed(Problem(*leaves[:3], score=score))
    wanted = textbook.attention(*leaves[:3], score=score)
    right = torch.autograd.grad(wanted.square().sum(), leaves, retain_graph=True)
    for got, expected in zip(torch.autograd.grad(ours.square().sum(), leaves), right, strict=True):
        assert largest_difference(got, expected) < 1e-11


def test_a_bias_computed_from_something() -> None:
    table = tensor((1, 1, 3, H), 4)[0, 0].clone().requires_grad_()
    leaves = (*cast(queries_keys_values(), torch.float64), table)

    def attend(path: object) -> Tensor:
        bias = biases.relative(table.tanh(), lambda d: d.clamp(-1, 1) + 1)
        return path(*leaves[:3], bias=bias)  # type: ignore[operator]

    ours = attend(lambda q, k, v, bias: paths.streamed(Problem(q, k, v, bias=bias)))
    for got, right in zip(gradients(ours, leaves), gradients(attend(textbook.attention), leaves), strict=True):
        assert largest_difference(got, right) < 1e-12


def test_frozen_weights_and_operands_get_nothing() -> None:
    score = Additive(D, 3).double()
    score.key.requires_grad_(False)
    q, k, v = (x.requires_grad_(name == "k") for name, x in zip("qkv", queries_keys_values(), strict=True))
    paths.streamed(Problem(q, k, v, score=score)).sum().backward()
    assert q.grad is None
    assert v.grad is None
    assert score.key.grad is None
    assert k.grad is not None
    assert score.query.grad is not None


def test_only_the_score_learns() -> None:
    score = Bilinear(D).double()
    q, k, v = queries_keys_values()
    ours = torch.autograd.grad(paths.streamed(Problem(q, k, v, score=score)).square().sum(), score.weight)
    right = torch.autograd.grad(textbook.attention(q, k, v, score=score).square().sum(), score.weight)
    assert largest_difference(ours[0], right[0]) < 1e-11


def test_a_block_is_computed_again_under_the_autocast_it_was_computed_under() -> None:
    q, k, v = cast(queries_keys_values(groups=G), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        ours, whole = paths.streamed(Problem(q, k, v, softcap=3.0)), paths.products(Problem(q, k, v, softcap=3.0))
    assert ours.dtype == whole.dtype == torch.bfloat16
    assert torch.equal(ours, whole)
    for got, right in zip(gradients(ours, (q, k, v)), gradients(whole, (q, k, v)), strict=True):
        assert got.dtype == torch.float32
        assert largest_difference(got, right) < 5e-2


def test_gradients_of_many_blocks_are_summed_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """4,096 queries each send 1 to one value: summed in bfloat16 one by one, 256 is the end."""
    monkeypatch.setattr(paths, "TILE", 1)
    q = torch.zeros(1, 1, 4096, 1, dtype=torch.bfloat16)
    v = torch.zeros(1, 1, 1, 1, dtype=torch.bfloat16, requires_grad=True)
    monkeypatch.setattr(paths, "ROWS", 4)
    paths.streamed(Problem(q, v.detach(), v, softcap=1.0)).sum().backward()
    assert v.grad is not None
    assert v.grad.item() == 4096


def test_no_queries() -> None:
    q, k, v = queries_keys_values(0, S)
    assert paths.streamed(Problem(q, k, v)).shape == (B, H, 0, v.shape[3])
    assert paths.streamed(Problem(*queries_keys_values(T, 0))).eq(0).all()
