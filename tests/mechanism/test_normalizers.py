"""Normalisers against cases worked by hand and against the papers' algorithms by sorting, which these do not use."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import clearhead
from clearhead.mechanism.normalizers import NORMALIZERS, entmax15, normalized, relu_mean, sparsemax
from clearhead.mechanism.paths import Problem, products

from .problems import DEVICES, B, H, S, T, largest_difference, queries_keys_values, tensor

SPARSE = {"sparsemax": sparsemax, "entmax15": entmax15}
TO_ONE = ["softmax", "sparsemax", "entmax15"]


def sorted_sparsemax(scores: Tensor) -> Tensor:
    """Algorithm 1 of arXiv 1602.02068, row by row."""

    def row(z: Tensor) -> Tensor:
        ordered, sums = z.sort(descending=True).values, z.sort(descending=True).values.cumsum(0)
        count = int((1 + torch.arange(1, len(z) + 1) * ordered > sums).sum())
        return (z - (sums[count - 1] - 1) / count).clamp(min=0)

    return torch.stack([row(z) for z in scores.flatten(0, -2)]).view_as(scores)


def sorted_entmax15(scores: Tensor) -> Tensor:
    """Algorithm 2 of arXiv 1905.05702, row by row: τ for each possible size of the support, the largest that fits."""

    def row(z: Tensor) -> Tensor:
        halves = (z / 2).sort(descending=True).values
        sizes = torch.arange(1, len(z) + 1)
        mean = halves.cumsum(0) / sizes
        spread = halves.square().cumsum(0) - sizes * mean.square()
        tau = mean - ((1 - spread) / sizes).clamp(min=0).sqrt()
        count = int((tau <= halves).sum())
        return (z / 2 - tau[count - 1]).clamp(min=0).square()

    return torch.stack([row(z) for z in scores.flatten(0, -2)]).view_as(scores)


BY_SORTING = {"sparsemax": sorted_sparsemax, "entmax15": sorted_entmax15}


def test_cases_worked_by_hand() -> None:
    """Sparsemax: τ = (1 + 0.5 − 1) / 2. Entmax: (0.5 − τ)² + τ² = 1 has τ = (1 − √7) / 4."""
    assert sparsemax(torch.tensor([1.0, 0.5, -1.0])).tolist() == [0.75, 0.25, 0.0]
    tau = (1 - math.sqrt(7)) / 4
    ours = entmax15(torch.tensor([1.0, 0.0], dtype=torch.float64)).tolist()
    assert ours == pytest.approx([(0.5 - tau) ** 2, tau**2], abs=1e-15)
    scores = torch.tensor([[3.0, -2.0, 1.0, -math.inf]])
    assert NORMALIZERS["relu"](scores).tolist() == [[3.0, 0.0, 1.0, 0.0]]
    assert relu_mean(scores).tolist() == [pytest.approx([1.0, 0.0, 1 / 3, 0.0])]
    assert NORMALIZERS["sigmoid"](scores)[0].tolist() == pytest.approx([0.95257413, 0.11920292, 0.73105858, 0.0])


@pytest.mark.parametrize("spread", [0.0, 0.01, 1.0, 10.0, 1e4])
@pytest.mark.parametrize("name", SPARSE)
def test_sparse_normalisers_are_what_sorting_gives(name: str, spread: float) -> None:
    scores = spread * tensor((2, 3, 5, 101), 1) + 7.0
    ours = SPARSE[name](scores)
    assert largest_difference(ours, BY_SORTING[name](scores)) < 1e-11
    assert largest_difference(ours.sum(-1), torch.ones(2, 3, 5)) < 1e-12


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", SPARSE)
def test_a_long_row_of_ties_converges(name: str, device: str) -> None:
    scores = torch.zeros(2, 1, 1, 70_001, device=device)
    scores[1, ..., ::2] = -0.001
    weights = SPARSE[name](scores)
    assert largest_difference(weights.sum(-1), torch.ones(2, 1, 1)) < 1e-3
    assert largest_difference(weights[0], torch.full((1, 1, 70_001), 1 / 70_001)) < 1e-8


@pytest.mark.parametrize("name", SPARSE)
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    scores = tensor((2, 2, 3, 7), 2).requires_grad_()
    assert torch.autograd.gradcheck(SPARSE[name], (scores,))


@pytest.mark.parametrize("name", SPARSE)
def test_there_are_exact_zeros_and_sparsemax_has_more(name: str) -> None:
    scores = 3 * tensor((B, H, T, S), 3)
    assert (SPARSE[name](scores) == 0).any()
    assert ((sparsemax(scores) == 0) | (entmax15(scores) > 0)).all()


@pytest.mark.parametrize("name", TO_ONE)
def test_a_constant_added_to_a_row_changes_nothing(name: str) -> None:
    scores = tensor((B, H, T, S), 4)
    assert largest_difference(NORMALIZERS[name](scores + 5.0), NORMALIZERS[name](scores)) < 1e-13


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", NORMALIZERS)
def test_a_masked_key_gets_exactly_nothing_and_sends_back_nothing(name: str, dtype: torch.dtype) -> None:
    hidden = torch.arange(S) >= 4
    scores = tensor((B, H, T, S), 5).to(dtype).requires_grad_()
    weights = normalized(scores.masked_fill(hidden, -math.inf), name)  # type: ignore[arg-type]
    assert weights.dtype == dtype
    assert (weights[..., 4:] == 0).all()
    if name != "relu_mean":  # which counts the visible keys
        alone = normalized(scores[..., :4], name)  # type: ignore[arg-type]
        assert largest_difference(weights[..., :4], alone) < 1e-2 if dtype.itemsize == 2 else 1e-6
    (gradient,) = torch.autograd.grad(weights.float().square().sum(), scores)
    assert torch.isfinite(gradient).all()
    assert (gradient[..., 4:] == 0).all()
    if name in TO_ONE:
        assert largest_difference(weights.double().sum(-1), torch.ones(B, H, T)) < (
            2e-2 if dtype.itemsize == 2 else 1e-6
        )


@pytest.mark.parametrize("name", NORMALIZERS)
def test_a_row_that_sees_nothing_is_zero_with_gradient_zero(name: str) -> None:
    scores = tensor((B, H, T, S), 6).requires_grad_()
    blind = (torch.arange(T) == 2)[:, None]
    weights = normalized(scores.masked_fill(blind, -math.inf), name)  # type: ignore[arg-type]
    assert (weights[:, :, 2] == 0).all()
    (gradient,) = torch.autograd.grad(weights.square().sum(), scores)
    assert (gradient[:, :, 2] == 0).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("name", SPARSE)
def test_a_nan_stays_in_its_row(name: str) -> None:
    scores = tensor((1, 1, 3, S), 7)
    clean = SPARSE[name](scores)
    scores[0, 0, 1, 3] = math.nan
    weights = SPARSE[name](scores)
    assert torch.isnan(weights[0, 0, 1]).all()
    assert torch.equal(weights[0, 0, ::2], clean[0, 0, ::2])


@pytest.mark.parametrize("name", SPARSE)
def test_no_keys_at_all(name: str) -> None:
    assert SPARSE[name](torch.zeros(2, 3, 4, 0)).shape == (2, 3, 4, 0)


def test_relu_without_length_grows_with_the_keys_and_with_it_does_not() -> None:
    """Twice the same keys: plain ReLU answers twice as much, divided by length the same, as softmax does."""
    q, k, v = queries_keys_values()
    twice = torch.cat((k, k), 2), torch.cat((v, v), 2)
    for name, factor in (("relu", 2.0), ("relu_mean", 1.0), ("softmax", 1.0), ("sigmoid", 2.0)):
        once = clearhead.attention(q, k, v, normalize=name)
        assert largest_difference(clearhead.attention(q, *twice, normalize=name), factor * once) < 1e-12
        assert largest_difference(products(Problem(q, k, v, normalize=name)), once) < 1e-12
