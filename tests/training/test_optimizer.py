"""The optimiser: hand-worked steps, what decays, and its state there and back by name."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clearhead.errors import RunError
from clearhead.training.optimizer import (
    build_optimizer,
    parameter_groups,
    restore_state,
    set_learning_rate,
    state_tensors,
)
from clearhead.training.settings import TrainingSettings

from . import toys


def settings(**changes: object) -> TrainingSettings:
    return TrainingSettings.model_validate({"learning_rate": 0.1, "betas": [0.5, 0.75], **changes})


def line(value: float) -> nn.Linear:
    """A model of one weight."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def test_two_steps_of_adamw_by_hand() -> None:
    """Algorithm 2 of arXiv 1711.05101 with β = (½, ¾): m, v and their bias corrections worked out on paper.

    Step 1, g = 2: m = 1, v = 1, m̂ = 1 / ½ = 2, v̂ = 1 / ¼ = 4, so it is 0.1 · (2 / 2), after decay by 1 − 0.1 · 0.2.
    Step 2, g = 4: m = 2.5, v = 4.75, m̂ = 2.5 / ¾, v̂ = 4.75 / (7/16).
    """
    model = line(3.0)
    optimizer = build_optimizer(model, settings(weight_decay=0.2, epsilon=1e-12))
    model.weight.grad = torch.tensor([[2.0]])
    optimizer.step()
    first = 3.0 * 0.98 - 0.1
    assert model.weight.item() == pytest.approx(first, rel=1e-6)
    model.weight.grad = torch.tensor([[4.0]])
    optimizer.step()
    expected = first * 0.98 - 0.1 * (2.5 / 0.75) / (4.75 / (7 / 16)) ** 0.5
    assert model.weight.item() == pytest.approx(expected, rel=1e-6)


def test_two_steps_of_sgd_with_momentum_by_hand() -> None:
    """Velocities 2, then ½ · 2 + 4 = 5."""
    model = line(3.0)
    optimizer = build_optimizer(model, settings(optimizer="sgd", momentum=0.5))
    for gradient in (2.0, 4.0):
        model.weight.grad = torch.tensor([[gradient]])
        optimizer.step()
    assert model.weight.item() == pytest.approx(3.0 - 0.1 * (2 + 5), rel=1e-6)


def test_the_learning_rate_set_is_the_one_used() -> None:
    model = line(3.0)
    optimizer = build_optimizer(model, settings())
    set_learning_rate(optimizer, 0.25)
    model.weight.grad = torch.tensor([[2.0]])
    optimizer.step()
    assert model.weight.item() == pytest.approx(2.75, rel=1e-5)


def test_only_the_matrices_of_linear_maps_decay() -> None:
    model = toys.model(positions="learned")
    decaying, staying = parameter_groups(model, 0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert decaying["weight_decay"] == 0.1
    assert staying["weight_decay"] == 0.0
    kept = {names[id(parameter)] for parameter in staying["params"]}  # type: ignore[attr-defined]
    assert {name for name in kept if "norm" not in name and "bias" not in name} == {
        "encoder.embedding.tokens.weight",
        "encoder.embedding.positions.weight",
        "decoder.embedding.positions.weight",
    }
    assert all(parameter.dim() == 2 for parameter in decaying["params"])  # type: ignore[attr-defined]
    assert len(decaying["params"]) + len(kept) == len(names)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["adamw", "sgd"])
def test_state_there_and_back_goes_on_to_the_bit(kind: str) -> None:
    def steps(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int) -> None:
        chance = torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.grad = torch.randn(parameter.shape, generator=chance)
        optimizer.step()

    model, copy = toys.model(), toys.model()
    optimizer, other = build_optimizer(model, settings(optimizer=kind)), build_optimizer(copy, settings(optimizer=kind))
    steps(model, optimizer, 1)
    copy.load_state_dict(model.state_dict())
    saved = {name: tensor.clone() for name, tensor in state_tensors(optimizer, model).items()}
    restore_state(other, copy, saved)
    steps(model, optimizer, 2)
    steps(copy, other, 2)
    assert toys.fingerprint(model) == toys.fingerprint(copy)
    assert all(torch.equal(tensor, saved[name]) for name, tensor in saved.items()), "restoring must copy"


def test_a_state_of_another_model_is_refused() -> None:
    model = line(1.0)
    with pytest.raises(RunError, match="'other', which this model has not"):
        restore_state(build_optimizer(model, settings()), model, {"other/exp_avg": torch.zeros(1)})
