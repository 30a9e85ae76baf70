"""Norms against ``torch.nn``'s with the same weights: outputs, gradients, and the running statistics of batch norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from clearhead.layers.norm import NORMS, BatchNorm

B, T, WIDTH, EPSILON = 3, 5, 7, 1e-3
REAL = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4])
TORCHS = {"layer": nn.LayerNorm, "rms": nn.RMSNorm, "batch": nn.BatchNorm1d}
TIGHT = {"rtol": 0, "atol": 1e-12}


def pair(kind: str) -> tuple[nn.Module, nn.Module]:
    ours, theirs = NORMS[kind](WIDTH, EPSILON).double(), TORCHS[kind](WIDTH, eps=EPSILON, dtype=torch.float64)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randn(WIDTH))
    theirs.load_state_dict(ours.state_dict(), strict=kind != "batch")
    return ours, theirs


def stream() -> tuple[Tensor, Tensor]:
    x = torch.randn(B, T, WIDTH, dtype=torch.float64) * 3 + 1
    return x.requires_grad_(), x.detach().clone().requires_grad_()


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", TORCHS)
def test_outputs_and_gradients_are_torchs(kind: str, padded: bool) -> None:
    """torch has no padding: it gets the real positions only."""
    ours, theirs = pair(kind)
    real = REAL if padded else torch.ones_like(REAL)
    x, y = stream()
    output, wanted = ours(x, REAL if padded else None)[real], theirs(y[real])
    torch.testing.assert_close(output, wanted, **TIGHT)
    direction = torch.randn_like(output)
    (output * direction).sum().backward()
    (wanted * direction).sum().backward()
    torch.testing.assert_close(x.grad, y.grad, **TIGHT)
    for mine, right in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, right.grad, **TIGHT)


def test_batch_norm_keeps_the_running_statistics_that_torch_keeps() -> None:
    ours, theirs = pair("batch")
    for _ in range(4):
        x, y = stream()
        ours(x, REAL)
        theirs(y[REAL])
    assert isinstance(ours, BatchNorm)
    torch.testing.assert_close(ours.running_mean, theirs.running_mean, **TIGHT)
    torch.testing.assert_close(ours.running_var, theirs.running_var, **TIGHT)
    x, y = stream()
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(y.transpose(1, 2)).transpose(1, 2), **TIGHT)


@pytest.mark.parametrize("trains", [True, False])
def test_what_stands_in_the_padding_does_not_matter_to_batch_norm(trains: bool) -> None:
    first, second = pair("batch")[0].train(trains), NORMS["batch"](WIDTH, EPSILON).double().train(trains)
    second.load_state_dict(first.state_dict())
    x = stream()[0].detach()
    other = torch.where(REAL[..., None], x, 100.0)
    assert torch.equal(first(x, REAL)[REAL], second(other, REAL)[REAL])
    assert torch.equal(first.running_mean, second.running_mean)


def test_a_batch_without_anything_real_changes_nothing() -> None:
    norm = BatchNorm(WIDTH, EPSILON)
    y = norm(torch.randn(B, T, WIDTH), torch.zeros_like(REAL))
    assert torch.isfinite(y).all()
    assert (norm.running_mean == 0).all()
    norm(torch.randn(1, 1, WIDTH))  # a single position has no spread
    assert torch.isfinite(norm.running_var).all()


def test_no_norm_is_nothing() -> None:
    x = torch.randn(B, T, WIDTH)
    norm = NORMS["none"](WIDTH, EPSILON)
    assert norm(x, REAL) is x
    assert not list(norm.parameters())
