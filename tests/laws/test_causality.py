"""The future cannot change the past: not by a bit, on any path, in training or in prediction."""

from __future__ import annotations

import pytest
import torch

from .models import DEVICES, VARIANTS, ids, model, real

S = 7


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("length", [11, 113])  # short and long for the chooser
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_later_target_token_changes_no_earlier_logit(variant: str, length: int, trains: bool, device: str) -> None:
    network = model(variant).to(device)
    source, target, mask = ids(2, S).to(device), ids(2, length).to(device), real(4, S).to(device)
    with torch.set_grad_enabled(trains):
        before = network.logits(source, target, mask=mask)
        for place in (1, length // 2, length - 1):
            changed = target.clone()
            changed[:, place] = (changed[:, place] - 4 + 5) % 27 + 4
            after = network.logits(source, changed, mask=mask)
            assert torch.equal(before[:, :place], after[:, :place])
            assert not torch.equal(before[:, place], after[:, place])  # the change did arrive where it may


@pytest.mark.usefixtures("path")
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_gradient_flows_back_from_the_past_to_the_future(variant: str) -> None:
    network = model(variant)
    embedded: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, given: object, x: torch.Tensor) -> None:
        x.retain_grad()
        embedded.append(x)

    network.decoder.embedding.register_forward_hook(keep)
    network.logits(ids(2, S), ids(2, 11))[:, 4].sum().backward()
    gradient = embedded[0].grad
    assert gradient is not None
    assert (gradient[:, 5:] == 0).all()
    assert (gradient[:, :5] != 0).any(-1).all()


def test_a_target_cut_short_has_the_logits_of_its_beginning() -> None:
    network, source, target = model(), ids(2, S), ids(2, 11)
    whole = network.logits(source, target)
    for length in (1, 4, 10):
        torch.testing.assert_close(network.logits(source, target[:, :length]), whole[:, :length], rtol=0, atol=1e-5)


def test_the_encoder_looks_both_ways() -> None:
    network, source = model(), ids(1, S)
    changed = source.clone()
    changed[0, S - 1] = 4 if source[0, S - 1] != 4 else 5
    assert (network.states(source) != network.states(changed)).any(-1).all()
