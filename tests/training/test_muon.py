"""Muon: orthogonal steps, hand-worked momentum, which parameters take which step, state there and back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clearhead.training.muon import QUINTIC, Muon, orthogonal
from clearhead.training.optimizer import build_optimizer, restore_state, set_learning_rate, state_tensors
from clearhead.training.settings import TrainingSettings

from . import toys


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings.model_validate({"optimizer": "muon", "momentum": 0.95, **changes})


@pytest.mark.parametrize("shape", [(5, 7), (7, 5), (13, 13)])
def test_singular_values_come_near_one_and_singular_vectors_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(3, *shape, dtype=torch.float64)
    u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
    inner = u.mT @ orthogonal(matrices) @ vh.mT
    values = inner.diagonal(dim1=-2, dim2=-1)
    assert ((values > 0.4) & (values < 1.3)).all()
    torch.testing.assert_close(inner, torch.diag_embed(values), atol=1e-12, rtol=0)


def test_the_iteration_acts_on_each_singular_value_by_its_polynomial() -> None:
    """σ ← a σ + b σ³ + c σ⁵, five times, from σ / ‖σ‖; worked out on the values alone."""
    values = torch.tensor([3.0, 1.0, 0.2], dtype=torch.float64)
    expected = values / values.norm()
    for _ in range(5):
        a, b, c = QUINTIC
        expected = a * expected + b * expected**3 + c * expected**5
    found = orthogonal(torch.diag(values)[None])[0].diagonal()
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_a_zero_gradient_moves_nothing() -> None:
    assert torch.equal(orthogonal(torch.zeros(2, 3, 5)), torch.zeros(2, 3, 5))


def test_two_steps_by_hand() -> None:
    """β = ½: M₁ = G₁ / 2, looking ahead ½ G₁ + ½ M₁; both are multiples of one matrix, so orth gives the same."""
    weight = nn.Parameter(torch.zeros(6, 2, dtype=torch.float64))
    optimizer = Muon([{"params": [weight], "momentum": 0.5, "weight_decay": 0.25}], lr=0.1)
    gradient = torch.randn(6, 2, dtype=torch.float64)
    step = 0.1 * 3**0.5 * orthogonal(gradient[None])[0]
    weight.grad = gradient.clone()
    optimizer.step()
    torch.testing.assert_close(weight.detach(), -step)
    weight.grad = 3 * gradient
    optimizer.step()
    torch.testing.assert_close(weight.detach(), -step * (1 - 0.1 * 0.25) - step)
    torch.testing.assert_close(optimizer.state[weight]["momentum_buffer"], 1.75 * gradient)


def test_only_matrices_inside_the_blocks_are_made_orthogonal() -> None:
    model = toys.model()
    optimizer = build_optimizer(model, settings(learning_rate=0.004, matrix_learning_rate=0.02))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    matrices = {names[id(p)] for g in optimizer.param_groups if "momentum" in g for p in g["params"]}
    assert matrices == {name for name, p in model.named_parameters() if ".blocks." in name and p.dim() == 2}
    everything = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
    assert sorted(everything) == sorted(names.values())
    set_learning_rate(optimizer, 0.001)
    assert [g["lr"] for g in optimizer.param_groups if "momentum" in g] == [pytest.approx(0.005)]
    assert {g["lr"] for g in optimizer.param_groups if "momentum" not in g} == {0.001}


def test_a_restored_state_takes_the_same_next_step() -> None:
    def stepped(seed: int, *models: tuple[nn.Module, torch.optim.Optimizer]) -> None:
        torch.manual_seed(seed)
        gradients = [torch.randn_like(parameter) for parameter in models[0][0].parameters()]
        for model, optimizer in models:
            for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                parameter.grad = gradient.clone()
            optimizer.step()

    model, other = toys.model(), toys.model()
    optimizer, again = (build_optimizer(each, settings()) for each in (model, other))
    stepped(1, (model, optimizer))
    other.load_state_dict(model.state_dict())
    restore_state(again, other, {name: tensor.clone() for name, tensor in state_tensors(optimizer, model).items()})
    stepped(2, (model, optimizer), (other, again))
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, two)


def test_muon_learns_faster_than_adamw_where_the_directions_are_unequal() -> None:
    """A linear map whose inputs differ in size by 100: equal steps in every direction get there first."""

    def left(optimizer: torch.optim.Optimizer, weight: nn.Parameter) -> float:
        for _ in range(60):
            loss = (((weight - target) @ inputs) ** 2).mean()
            weight.grad = torch.autograd.grad(loss, weight)[0]
            optimizer.step()
        return float((weight.detach() - target).norm() / target.norm())

    torch.manual_seed(0)
    target = torch.linalg.qr(torch.randn(17, 17))[0]
    inputs = torch.logspace(0, -2, 17)[:, None] * torch.randn(17, 200)
    one, two = nn.Parameter(torch.zeros(17, 17)), nn.Parameter(torch.zeros(17, 17))
    muon = left(Muon([{"params": [one], "momentum": 0.9, "weight_decay": 0.0}], lr=0.03), one)
    adam = left(torch.optim.AdamW([two], lr=0.03, weight_decay=0.0), two)
    assert muon < adam
