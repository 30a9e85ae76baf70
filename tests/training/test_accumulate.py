"""The gradient of an update: the same however its sentences are cut into batches, also where memory runs out."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from clearhead.data.batch import PairBatch, collate_pairs
from clearhead.errors import RunError
from clearhead.training.accumulate import Accumulation, ran_out_of_memory
from clearhead.training.loss import Loss
from clearhead.training.signals import StopFlag
from clearhead.training.teacher_forcing import sentence_loss

from . import toys

LETTERS = toys.Letters(32)


def exact() -> nn.Module:
    """Without dropout, in float64: whatever differs is no rounding."""
    return toys.model(dropout=0.0).double()


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}


@functools.cache
def whole() -> tuple[dict[str, Tensor], float]:
    model = exact()
    gradient = Accumulation(model, lambda model, batch: sentence_loss(model, batch, 0.1))(cut(32), StopFlag())
    assert gradient is not None
    return gradients(model), gradient.loss


def cut(size: int) -> list[PairBatch]:
    return list(toys.batches(LETTERS, size))


@pytest.mark.parametrize("size", [8, 1, 5])
def test_one_batch_of_32_is_many_smaller_ones(size: int) -> None:
    """Sentences have 1 … 11 letters, so batches of equal numbers of rows have unequal numbers of tokens."""
    expected, loss = whole()
    model = exact()
    gradient = Accumulation(model, lambda model, batch: sentence_loss(model, batch, 0.1))(cut(size), StopFlag())
    assert gradient is not None
    assert gradient.loss == pytest.approx(loss, rel=1e-12)
    for name, found in gradients(model).items():
        torch.testing.assert_close(found, expected[name], rtol=1e-9, atol=1e-13)


def test_the_mean_of_means_would_be_another_gradient() -> None:
    """The control: what this test set exists to prevent does differ by far more than is allowed above."""
    expected, _ = whole()
    model = exact()
    for batch in cut(8):
        loss = sentence_loss(model, batch, 0.1)
        (loss.total / loss.count / 4).backward()
    name = "encoder.embedding.tokens.weight"
    assert float((gradients(model)[name] - expected[name]).abs().max()) > 1e-5


def test_norm_and_clipping() -> None:
    model = exact()
    accumulation = Accumulation(model, lambda model, batch: sentence_loss(model, batch))
    gradient = accumulation(cut(32), StopFlag())
    assert gradient is not None
    norm = float(torch.cat([part.flatten() for part in gradients(model).values()]).norm())
    assert gradient.norm == pytest.approx(norm, rel=1e-6)
    before = gradients(model)
    accumulation.clip(gradient.norm, gradient.norm * 2)
    assert all(torch.equal(part, before[name]) for name, part in gradients(model).items())
    accumulation.clip(gradient.norm, gradient.norm / 4)
    for name, part in gradients(model).items():
        torch.testing.assert_close(part, before[name] / 4, rtol=1e-5, atol=0)


class Cramped:
    """A loss that runs out of memory on more than ``rows`` rows, in the forward or half-way through the backward."""

    def __init__(self, rows: int, phase: str) -> None:
        self.rows, self.phase = rows, phase
        self.refused = 0

    def __call__(self, model: nn.Module, batch: PairBatch) -> Loss:
        loss = sentence_loss(model, batch, 0.1)
        if len(batch) <= self.rows:
            return loss
        self.refused += 1
        if self.phase == "forward":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return Loss(_Fails.apply(loss.total, model.output_weight), loss.nll, loss.count)


class _Fails(torch.autograd.Function):
    """Puts a gradient into the parameter first, then fails as the CPU's allocator does."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, total: Tensor, weight: Tensor) -> Tensor:
        ctx.weight = weight
        return total.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:  # type: ignore[override]
        ctx.weight.grad = torch.full_like(ctx.weight, 7.0)
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")


@pytest.mark.parametrize("phase", ["forward", "backward"])
@pytest.mark.parametrize("sizes", [32, 20])
def test_where_memory_runs_out_the_batch_is_split_and_the_gradient_is_the_same(phase: str, sizes: int) -> None:
    expected, loss = whole()
    model = exact()
    cramped = Cramped(9, phase)
    gradient = Accumulation(model, cramped)(cut(sizes), StopFlag())
    assert gradient is not None
    assert cramped.refused > 1
    assert gradient.parts > len(cut(sizes))
    assert "allocate" in gradient.trouble
    assert gradient.loss == pytest.approx(loss, rel=1e-12)
    for name, found in gradients(model).items():
        torch.testing.assert_close(found, expected[name], rtol=1e-9, atol=1e-13)


def test_a_single_sentence_that_does_not_fit_is_an_error_that_says_so() -> None:
    model = exact()
    with pytest.raises(RunError, match=r"single row of \d+ tokens"):
        Accumulation(model, Cramped(0, "forward"))(cut(4), StopFlag())


def test_other_errors_are_not_taken_for_lack_of_memory() -> None:
    model = exact()

    def fails(model: nn.Module, batch: PairBatch) -> Loss:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Accumulation(model, fails)(cut(4), StopFlag())
    assert ran_out_of_memory(MemoryError())


def test_a_stop_half_way_changes_nothing() -> None:
    model, stop, seen = toys.model(), StopFlag(), []

    def loss(model: nn.Module, batch: PairBatch) -> Loss:
        seen.append(len(batch))
        stop.set() if len(seen) == 3 else None
        return sentence_loss(model, batch)

    before = torch.get_rng_state()
    assert Accumulation(model.train(), loss)(cut(4), stop) is None
    assert len(seen) == 3
    assert torch.equal(torch.get_rng_state(), before), "dropout has drawn numbers that must be drawn again"


@pytest.mark.parametrize("place", ["loss", "gradient"])
def test_what_is_not_finite_is_told(place: str) -> None:
    model = exact()

    def loss(model: nn.Module, batch: PairBatch) -> Loss:
        found = sentence_loss(model, batch)
        factor = torch.tensor(float("inf" if place == "loss" else "nan"), dtype=torch.float64)
        return Loss(found.total * (factor if place == "loss" else 1), found.nll, found.count)

    if place == "gradient":
        model.output_weight.register_hook(lambda gradient: gradient * float("nan"))
    gradient = Accumulation(model, loss)(cut(32), StopFlag())
    assert gradient is not None
    assert not gradient.finite


def test_padding_is_invisible() -> None:
    """A batch padded by a far longer sentence gives each sentence the loss it has alone."""
    model = exact().eval()
    pairs = list(zip(LETTERS.sources[:6], LETTERS.targets[:6], strict=True))
    alone = sum(sentence_loss(model, collate_pairs([s], [t])).nll.item() for s, t in pairs)
    together = sentence_loss(model, collate_pairs([s for s, _ in pairs], [t for _, t in pairs]))
    assert together.nll.item() == pytest.approx(alone, rel=1e-12)
