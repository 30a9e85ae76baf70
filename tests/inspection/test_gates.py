"""The first-order estimate against differences of the loss itself, and three numbers of a map worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from clearhead.inspection.gates import head_slopes
from clearhead.inspection.glance import glance
from clearhead.inspection.seams import seams

from .test_ablate import IDS, model

STEP = 1e-5


def losses(network: Any, rows: slice = slice(None)) -> torch.Tensor:
    """One number a row, (B,)."""
    ids = IDS[rows]
    logs: torch.Tensor = network.logits(ids, ids.flip(1)).log_softmax(-1)
    return -logs.gather(-1, ids[..., None]).sum((1, 2))


def test_slopes_are_what_scaling_a_head_does_to_each_rows_loss() -> None:
    network = model()
    slopes = head_slopes(network, batches(network))
    for name, seam in seams(network).items():
        for head in range(4):
            with torch.no_grad():
                up, down = (_scaled(network, seam, head, 1 + sign * STEP) for sign in (1, -1))
            by_hand = ((up - down) / (2 * STEP)).abs().mean()
            assert slopes[name][head].item() == pytest.approx(by_hand.item(), rel=1e-5, abs=1e-8)
    assert all(parameter.grad is None for parameter in network.parameters())


def batches(network: Any) -> Iterator[torch.Tensor]:
    """The rows as two batches, each run when it is asked for."""
    for rows in (slice(0, 1), slice(1, 2)):
        yield losses(network, rows)


def _scaled(network: Any, seam: Any, head: int, factor: float) -> torch.Tensor:
    scale = torch.ones(4, dtype=torch.float64)
    scale[head] = factor
    handle = seam.step.register_forward_hook(lambda module, given, z: z * scale[:, None, None])
    found = losses(network)
    handle.remove()
    return found


def test_a_gate_leaves_the_model_as_it_was() -> None:
    network = model()
    before = losses(network)
    head_slopes(network, batches(network))
    assert torch.equal(losses(network), before)


def test_three_numbers_by_hand() -> None:
    """Row 0 looks at itself; row 1 half at 0 and half at 2; row 2 sees nothing and counts in no mean."""
    weights = torch.tensor([[[1.0, 0, 0], [0.5, 0, 0.5], [0, 0, 0]]])
    found = glance(weights)
    assert found.entropy.tolist() == pytest.approx([math.log(2) / 2])
    assert found.distance.tolist() == pytest.approx([(0 + 1) / 2])
    assert found.peak.tolist() == pytest.approx([(1 + 0.5) / 2])


def test_weights_that_do_not_sum_to_one_are_taken_as_shares() -> None:
    whole = torch.rand(2, 3, 5).softmax(-1)
    found, scaled = glance(whole), glance(whole * 3)
    torch.testing.assert_close(scaled.entropy, found.entropy)
    torch.testing.assert_close(scaled.distance, found.distance)
    torch.testing.assert_close(scaled.peak, 3 * found.peak)
