"""Dropout: the rate, the scale, the gradient's mask, the seed; all against what the definition says."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.layers.dropout import Dropout
from clearhead.mechanism.dropout import STEPS, draw_seed, drawing_from, drop, seeded

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
COUNT = 200_003  # a prime, so that the last random word is not used up


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9, 1 / STEPS])
def test_the_rate_and_the_mean_are_within_five_deviations(p: float, device: str) -> None:
    kept = drop(torch.ones(COUNT, device=device), p)
    rate = (kept == 0).double().mean().item()
    deviation = math.sqrt(p * (1 - p) / COUNT)
    assert abs(rate - p) < 5 * deviation
    assert abs(kept.double().mean().item() - 1) < 5 * deviation / (1 - p)


def test_values_are_dropped_one_by_one_and_not_in_groups() -> None:
    """Four draws come out of one random word; neighbours must not fall together."""
    dropped = (drop(torch.ones(COUNT // 4 * 4), 0.5) == 0).double().view(-1, 4)
    table = torch.corrcoef(dropped.t())
    assert (table - torch.eye(4)).abs().max() < 5 / math.sqrt(COUNT / 4)
    assert (dropped.mean(0) - 0.5).abs().max() < 5 * 0.5 / math.sqrt(COUNT / 4)


@pytest.mark.parametrize("p", [0.1, 0.3, 0.75])
def test_what_is_kept_is_scaled_by_the_probability_in_force(p: float) -> None:
    x = torch.randn(3, 5, 7, dtype=torch.float64)
    y = drop(x, p)
    rounded = round(p * STEPS) / STEPS
    assert abs(rounded - p) <= 0.5 / STEPS
    torch.testing.assert_close(y[y != 0], x[y != 0] / (1 - rounded), rtol=1e-15, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_gradient_has_the_mask_of_the_values(dtype: torch.dtype) -> None:
    x = torch.randn(3, 5, 7, dtype=dtype).requires_grad_()
    y = drop(x, 0.4)
    upstream = torch.randn(3, 5, 7).to(dtype)
    (gradient,) = torch.autograd.grad(y, x, upstream)
    scale = STEPS / (STEPS - round(0.4 * STEPS))
    torch.testing.assert_close(
        gradient, upstream * (y != 0) * scale, rtol=1e-2 if dtype == torch.bfloat16 else 1e-6, atol=0
    )
    assert y.dtype == gradient.dtype == dtype
    assert 0 < (y == 0).sum() < y.numel()


def test_a_probability_too_small_to_draw_is_none_and_one_too_large_still_scales() -> None:
    x = torch.ones(7)
    assert torch.equal(drop(x, 0.4 / STEPS), x)
    assert torch.isfinite(drop(x, 1 - 1e-9)).all()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 5), (2, 3, 5, 7)])
def test_any_shape(shape: tuple[int, ...]) -> None:
    assert drop(torch.ones(shape), 0.5).shape == shape


def test_strides_do_not_matter() -> None:
    x = torch.randn(5, 7)
    torch.manual_seed(1)
    turned = drop(x.t(), 0.5)
    torch.manual_seed(1)
    assert torch.equal(turned, drop(x.t().contiguous(), 0.5))


def test_evaluation_is_the_identity_and_draws_nothing() -> None:
    layer, x = Dropout(0.5).eval(), torch.randn(5, 7)
    before = torch.get_rng_state()
    assert layer(x) is x
    assert torch.equal(layer.add(x, x), 2 * x)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_seed_decides() -> None:
    layer, x = Dropout(0.5), torch.randn(5, 7)
    torch.manual_seed(3)
    first, second = layer(x), layer(x)
    torch.manual_seed(3)
    assert torch.equal(layer(x), first)
    assert not torch.equal(first, second)


def test_adding_to_the_stream_drops_the_branch_and_never_the_stream() -> None:
    layer, stream = Dropout(0.5), torch.full((5, 7), 100.0)
    total = layer.add(stream, torch.ones(5, 7))
    assert set(total.flatten().tolist()) == {100.0, 102.0}


@pytest.mark.parametrize("p", [1.0, -0.1, math.nan])
def test_what_is_no_probability_is_refused(p: float) -> None:
    with pytest.raises(ConfigurationError, match=r"\[0, 1\).*got"):
        Dropout(p)


def test_a_generator_of_ones_own_decides_alone() -> None:
    x = torch.ones(1001)
    device = torch.device("cpu")
    with drawing_from(seeded(7, device)):
        torch.manual_seed(1)
        first = drop(x, 0.3)
    with drawing_from(seeded(7, device)):
        torch.manual_seed(2)
        assert torch.equal(first, drop(x, 0.3))
        with drawing_from(None):
            torch.manual_seed(3)
            outside = drop(x, 0.3)
    torch.manual_seed(3)
    assert torch.equal(outside, drop(x, 0.3))


def test_threads_draw_from_generators_of_their_own() -> None:
    """Names a generator in each of two threads that wait for each other: neither sees the other's."""
    device, together = torch.device("cpu"), threading.Barrier(2, timeout=30)

    def work(seed: int) -> list[torch.Tensor]:
        with drawing_from(seeded(seed, device)):
            together.wait()
            return [drop(torch.ones(4096), 0.5) for _ in range(20)]

    def alone(seed: int) -> list[torch.Tensor]:
        with drawing_from(seeded(seed, device)):
            return [drop(torch.ones(4096), 0.5) for _ in range(20)]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(work, (5, 11)))
    for seed, drawn in zip((5, 11), found, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(drawn, alone(seed), strict=True))


def test_seeds_follow_the_default_generator() -> None:
    torch.manual_seed(5)
    first = [draw_seed() for _ in range(3)]
    torch.manual_seed(5)
    assert first == [draw_seed() for _ in range(3)]
    assert len(set(first)) == 3
