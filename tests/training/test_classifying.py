"""The losses of classification against their equations, written out in float64; and what weights and smoothing do."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from clearhead.data.text_batch import TextBatch
from clearhead.training.classifying import batch_loss, class_loss, classifying, label_set_loss

SHAPE = (7, 5)


def problem(seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(SHAPE, generator=generator, dtype=torch.float64) * 3
    labels = torch.randint(SHAPE[1], SHAPE[:1], generator=generator)
    return logits, labels, torch.rand(SHAPE[1], generator=generator, dtype=torch.float64) + 0.5


def one_label(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float) -> float:
    total = 0.0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        norm = math.log(sum(math.exp(z) for z in row))
        logs = [z - norm for z in row]
        total += weights[label].item() * (-(1 - smoothing) * logs[label] - smoothing * sum(logs) / len(logs))
    return total


def any_labels(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float) -> float:
    total = 0.0
    for row, marks in zip(logits.tolist(), labels.tolist(), strict=True):
        for z, mark, weight in zip(row, marks, weights.tolist(), strict=True):
            yes = (1 - smoothing) * mark + smoothing / 2
            p = 1 / (1 + math.exp(-z))
            total -= weight * yes * math.log(p) + (1 - yes) * math.log(1 - p)
    return total


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_one_label_is_the_equation(smoothing: float) -> None:
    logits, labels, weights = problem()
    loss = class_loss(logits, labels, weights, smoothing)
    assert loss.total.item() == pytest.approx(one_label(logits, labels, weights, smoothing), rel=1e-12)
    assert loss.nll.item() == pytest.approx(one_label(logits, labels, torch.ones(5), 0.0), rel=1e-12)
    assert loss.count == 7


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_any_number_of_labels_is_the_equation(smoothing: float) -> None:
    logits, labels, weights = problem()
    marks = torch.nn.functional.one_hot(labels, 5).bool() | (logits > 2)
    loss = label_set_loss(logits, marks, weights, smoothing)
    assert loss.total.item() == pytest.approx(any_labels(logits, marks, weights, smoothing), rel=1e-12)
    assert loss.nll.item() == pytest.approx(any_labels(logits, marks, torch.ones(5), 0.0), rel=1e-12)
    assert loss.count == 7


def test_torch_agrees_without_weights() -> None:
    logits, labels, _ = problem()
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.2, reduction="sum")
    assert class_loss(logits, labels, None, 0.2).total.item() == pytest.approx(expected.item(), rel=1e-12)


def test_huge_logits_stay_finite_in_half_precision() -> None:
    logits = torch.tensor([[3e4, -3e4]], dtype=torch.float16, requires_grad=True)
    for loss in (class_loss(logits, torch.tensor([1])), label_set_loss(logits, torch.tensor([[False, True]]))):
        (gradient,) = torch.autograd.grad(loss.total, logits)
        assert loss.total.isfinite() and gradient.isfinite().all()
        assert not loss.nll.requires_grad


class Linear(nn.Module):
    """Scores that are the ids themselves."""

    def logits(self, inputs: Tensor, *, mask: Tensor | None = None, ngrams: Tensor | None = None) -> Tensor:
        return inputs.double()


def test_a_batch_says_by_its_labels_which_loss_it_is() -> None:
    ids = torch.arange(6).reshape(2, 3)
    one = SimpleNamespace(ids=ids, mask=None, ngrams=None, labels=torch.tensor([0, 2]))
    many = SimpleNamespace(ids=ids, mask=None, ngrams=None, labels=torch.tensor([[True, False, True]] * 2))
    assert batch_loss(Linear(), one).total == class_loss(ids.double(), one.labels).total  # type: ignore[arg-type]
    assert batch_loss(Linear(), many).total == label_set_loss(ids.double(), many.labels).total  # type: ignore[arg-type]
    weights = torch.tensor([1.0, 1.0, 3.0])
    batch = TextBatch(ids, torch.ones(2, 3, dtype=torch.bool), None, one.labels, 6)
    assert (
        classifying(weights, 0.1)(Linear(), batch, 1).total == class_loss(ids.double(), one.labels, weights, 0.1).total
    )
