"""Members side by side: the gradient of the whole batch, repeatable to the bit, weights that exist once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from clearhead.data.batch import PairBatch
from clearhead.training import team as team_file
from clearhead.training.accumulate import Accumulation
from clearhead.training.loss import Loss
from clearhead.training.signals import StopFlag
from clearhead.training.teacher_forcing import sentence_loss
from clearhead.training.team import Team, useful_members

from . import toys

LETTERS = toys.Letters(32)


@pytest.fixture(autouse=True)
def small_parts_and_two_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(team_file, "SMALLEST", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def loss(model: nn.Module, batch: PairBatch) -> Loss:
    return sentence_loss(model, batch, 0.1)


def gradients(model: nn.Module, members: int, size: int = 16) -> tuple[dict[str, Tensor], float]:
    accumulation = Accumulation(model, loss, members)
    found = accumulation(list(toys.batches(LETTERS, size)), StopFlag())
    assert found is not None
    named = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert len(named) == len(list(model.parameters()))
    return named, found.loss


@pytest.mark.parametrize("members", [2, 3, 5])
@pytest.mark.parametrize("size", [32, 16, 1])
def test_members_give_the_gradient_of_one(members: int, size: int) -> None:
    expected, alone = gradients(toys.model(dropout=0.0).double(), 1, size)
    found, together = gradients(toys.model(dropout=0.0).double(), members, size)
    assert together == pytest.approx(alone, rel=1e-12)
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-9, atol=1e-13)


def test_dropout_side_by_side_can_be_repeated_to_the_bit() -> None:
    def once() -> dict[str, Tensor]:
        torch.manual_seed(3)
        return gradients(toys.model(dropout=0.3).train(), 3, 32)[0]

    first = once()
    for _ in range(4):
        assert all(torch.equal(gradient, first[name]) for name, gradient in once().items())
    torch.manual_seed(4)
    other = gradients(toys.model(dropout=0.3).train(), 3, 32)[0]
    assert any(not torch.equal(gradient, first[name]) for name, gradient in other.items())


def test_members_share_weights_and_follow_the_model() -> None:
    model = toys.model(dropout=0.0)
    team = Team(model, loss, 3)
    assert {p.data_ptr() for p in model.parameters()} == {p.data_ptr() for m in team.models for p in m.parameters()}
    (batch,) = toys.batches(LETTERS, 32)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.data = parameter.data.clone().mul_(1.5)  # moved, as by a change of precision
    team.add(batch, torch.tensor(1.0))
    team.gather()
    expected = model.output_weight.grad.clone()
    team.forget()
    assert all(p.grad is None for m in team.models for p in m.parameters())
    loss(model, batch).total.backward()
    torch.testing.assert_close(model.output_weight.grad, expected, rtol=1e-3, atol=1e-4)


def test_a_failure_of_one_member_is_the_failure_of_all() -> None:
    def fails(model: nn.Module, batch: PairBatch) -> Loss:
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        Accumulation(toys.model(), fails, 2)(list(toys.batches(LETTERS, 32)), StopFlag())
    assert torch.get_num_threads() == 2


def test_how_many_are_useful() -> None:
    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3)

    assert useful_members(toys.model()) == 2
    assert useful_members(Normalised()) == 1, "the statistics are those of the whole batch"
    torch.set_num_threads(64)
    assert useful_members(toys.model()) == team_file.MOST
