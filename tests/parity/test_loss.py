"""The chunked loss against torch's cross-entropy on all logits at once: values, gradients, what is not allocated."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from clearhead.errors import ConfigurationError, ShapeError
from clearhead.training.loss import chunked_cross_entropy

DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
N, V, W = 23, 31, 7


def problem(dtype: torch.dtype = torch.float64, device: str = "cpu") -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """hidden, weight, bias, targets; some targets occur several times."""
    hidden, weight, bias = (torch.randn(*shape, dtype=torch.float64) for shape in ((N, W), (V, W), (V,)))
    targets = torch.randint(V, (N,))
    targets[:4] = targets[0]
    leaves = [x.to(device, dtype).requires_grad_() for x in (hidden, weight, bias)]
    return leaves[0], leaves[1], leaves[2], targets.to(device)


def whole(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float) -> Tensor:
    return F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="sum", label_smoothing=smoothing)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 1e-4)])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("chunk", [None, 1, 5, N, 1000])
def test_value_and_gradients(
    chunk: int | None, smoothing: float, biased: bool, dtype: torch.dtype, tolerance: float, device: str
) -> None:
    hidden, weight, bias, targets = problem(dtype, device)
    given = bias if biased else None
    leaves = [hidden, weight, bias] if biased else [hidden, weight]
    loss = chunked_cross_entropy(hidden, weight, targets, bias=given, label_smoothing=smoothing, chunk=chunk)
    wanted = whole(hidden, weight, given, targets, smoothing)
    torch.testing.assert_close(loss.total, wanted, rtol=0, atol=tolerance)
    torch.testing.assert_close(loss.nll, whole(hidden, weight, given, targets, 0.0), rtol=0, atol=tolerance)
    assert loss.count == N
    assert not loss.nll.requires_grad
    upstream = -1.7  # as after a division by tokens, or a scaler
    ours = torch.autograd.grad(loss.total * upstream, leaves)
    theirs = torch.autograd.grad(wanted * upstream, leaves)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=tolerance)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_gradient_is_the_slope(smoothing: float) -> None:
    """Central differences along random directions, in float64; no other implementation is asked."""
    *leaves, targets = problem()

    def total(*given: Tensor) -> Tensor:
        return chunked_cross_entropy(*given[:2], targets, bias=given[2], label_smoothing=smoothing, chunk=7).total

    slopes = torch.autograd.grad(total(*leaves), leaves)
    step = 1e-5
    for index, slope in enumerate(slopes):
        direction = torch.zeros_like(leaves[index]).normal_()
        ahead, behind = (
            total(*(x + sign * step * direction if i == index else x for i, x in enumerate(leaves))) for sign in (1, -1)
        )
        assert ((ahead - behind) / (2 * step)).item() == pytest.approx((slope * direction).sum().item(), rel=1e-7)


@pytest.mark.parametrize("learns", [("hidden",), ("weight",), ("bias",), ("hidden", "bias")], ids=str)
def test_gradients_go_only_where_they_are_asked_for(learns: tuple[str, ...]) -> None:
    hidden, weight, bias, targets = problem()
    leaves = {"hidden": hidden, "weight": weight, "bias": bias}
    given = {name: x.detach().requires_grad_(name in learns) for name, x in leaves.items()}
    loss = chunked_cross_entropy(given["hidden"], given["weight"], targets, bias=given["bias"], chunk=5)
    ours = torch.autograd.grad(loss.total, [given[name] for name in learns])
    theirs = torch.autograd.grad(whole(hidden, weight, bias, targets, 0.0), [leaves[name] for name in learns])
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_a_tied_matrix_gets_both_its_gradients() -> None:
    table = nn.Embedding(V, W).double()
    ids, targets = torch.randint(V, (N,)), torch.randint(V, (N,))
    states = torch.tanh(table(ids))
    loss = chunked_cross_entropy(states, table.weight, targets, chunk=5).total
    (ours,) = torch.autograd.grad(loss, table.weight)
    (theirs,) = torch.autograd.grad(whole(torch.tanh(table(ids)), table.weight, None, targets, 0.0), table.weight)
    torch.testing.assert_close(ours, theirs)


def test_gradients_add_up_over_batches() -> None:
    hidden, weight, _, targets = problem()
    chunked_cross_entropy(hidden[:9], weight, targets[:9]).total.backward()
    chunked_cross_entropy(hidden[9:], weight, targets[9:]).total.backward()
    (wanted,) = torch.autograd.grad(whole(hidden, weight, None, targets, 0.0), weight)
    torch.testing.assert_close(weight.grad, wanted)


def test_a_second_backward_is_refused_and_never_wrong() -> None:
    hidden, weight, _, targets = problem()
    total = chunked_cross_entropy(hidden, weight, targets).total * 3
    torch.autograd.grad(total, [hidden, weight], retain_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad(total, [hidden, weight])


@pytest.mark.parametrize("device", DEVICES)
def test_autocast_is_close_to_float32_and_the_sums_stay_exact(device: str) -> None:
    hidden, weight, bias, targets = problem(torch.float32, device)
    wanted = whole(hidden, weight, bias, targets, 0.1)
    with torch.autocast(device, torch.bfloat16):
        loss = chunked_cross_entropy(hidden, weight, targets, bias=bias, label_smoothing=0.1, chunk=5)
    assert loss.total.dtype == torch.float32
    assert loss.total.item() == pytest.approx(wanted.item(), rel=5e-3)
    leaves = (hidden, weight, bias)
    for a, b in zip(torch.autograd.grad(loss.total, leaves), torch.autograd.grad(wanted, leaves), strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() / b.norm() < 2e-2


def test_weights_in_bfloat16_still_sum_in_float32() -> None:
    """With 4,000 equal losses of ln 31 a sum kept in bfloat16 would be off by its rounding, one part in 256."""
    hidden = torch.zeros(4000, W, dtype=torch.bfloat16, requires_grad=True)
    weight = torch.zeros(V, W, dtype=torch.bfloat16, requires_grad=True)
    loss = chunked_cross_entropy(hidden, weight, torch.zeros(4000, dtype=torch.int64), chunk=7)
    assert loss.total.dtype == torch.float32
    assert loss.total.item() == pytest.approx(4000 * math.log(V), rel=1e-5)
    to_hidden, to_weight = torch.autograd.grad(loss.total, (hidden, weight))
    assert to_hidden.dtype == to_weight.dtype == torch.bfloat16


def test_huge_logits_do_not_overflow() -> None:
    hidden, weight, _, targets = problem()
    loss = chunked_cross_entropy(hidden * 1000, weight, targets, label_smoothing=0.1)
    torch.testing.assert_close(loss.total, whole(hidden * 1000, weight, None, targets, 0.1))
    assert all(torch.isfinite(x).all() for x in torch.autograd.grad(loss.total, (hidden, weight)))


def test_no_tokens_at_all() -> None:
    hidden, weight, bias, targets = problem()
    loss = chunked_cross_entropy(hidden[:0], weight, targets[:0], bias=bias, label_smoothing=0.1)
    assert loss.total.item() == 0.0
    assert loss.count == 0
    assert all((x == 0).all() for x in torch.autograd.grad(loss.total, (hidden, weight, bias)))


class Largest(TorchDispatchMode):
    """Watches every operation for the largest tensor it makes, and for tensors of one shape."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.elements, self.made = shape, 0, 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        for x in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(x, Tensor):
                self.elements = max(self.elements, x.numel())
                self.made += tuple(x.shape) == self.shape
        return result


def test_the_logits_of_a_batch_never_exist() -> None:
    rows, words, width, chunk = 331, 211, 5, 16
    hidden, weight = (torch.randn(size, width, requires_grad=True) for size in (rows, words))
    targets = torch.randint(words, (rows,))
    with Largest((rows, words)) as seen:
        chunked_cross_entropy(hidden, weight, targets, label_smoothing=0.1, chunk=chunk).total.backward()
    assert seen.elements <= max(chunk * words, rows * width, words * width)
    with Largest((rows, words)) as control:
        whole(hidden, weight, None, targets, 0.1).backward()
    assert control.elements == rows * words  # the watch does see what is there


def test_without_gradients_no_gradient_is_computed() -> None:
    hidden, weight, bias, targets = problem()
    with torch.no_grad(), Largest((V, W)) as seen:
        loss = chunked_cross_entropy(hidden, weight, targets, bias=bias, label_smoothing=0.1)
    assert seen.made == 0
    torch.testing.assert_close(loss.total, whole(hidden, weight, bias, targets, 0.1).detach())


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"hidden": torch.zeros(2, 3, W)}, ShapeError, ["(N, W)", f"(2, 3, {W})"]),
        ({"weight": torch.zeros(V, W + 1)}, ShapeError, ["(V, W)", f"({V}, {W + 1})"]),
        ({"weight": torch.zeros(1, V, W)}, ShapeError, ["(V, W)", f"(1, {V}, {W})"]),
        ({"targets": torch.zeros(N + 1, dtype=torch.int64)}, ShapeError, ["targets (N,)", f"({N + 1},)"]),
        ({"targets": torch.zeros(N)}, ShapeError, ["int64", "torch.float32"]),
        ({"targets": torch.full((N,), V)}, ShapeError, [f"0 … {V - 1}", f"{V}"]),
        ({"targets": torch.full((N,), -100)}, ShapeError, [f"0 … {V - 1}", "-100"]),
        ({"bias": torch.zeros(V + 1)}, ShapeError, ["bias", f"({V},)", f"({V + 1},)"]),
        ({"label_smoothing": 1.5}, ConfigurationError, ["[0, 1)", "1.5"]),
        ({"label_smoothing": -0.1}, ConfigurationError, ["[0, 1)", "-0.1"]),
        ({"chunk": 0}, ConfigurationError, ["at least 1", "0"]),
        ({"chunk": -3}, ConfigurationError, ["at least 1", "-3"]),
    ],
)
def test_refusals_say_both_sides(change: dict[str, Any], error: type[Exception], words: list[str]) -> None:
    given: dict[str, Any] = {
        "hidden": torch.zeros(N, W), "weight": torch.zeros(V, W), "targets": torch.zeros(N, dtype=torch.int64)
    } | change  # fmt: skip
    with pytest.raises(error) as caught:
        chunked_cross_entropy(given.pop("hidden"), given.pop("weight"), given.pop("targets"), **given)
    for word in words:
        assert word in str(caught.value)
