"""What must be the same: permuted inputs without positions, training and evaluation without dropout, run after run."""

from __future__ import annotations

import pytest
import torch

from clearhead.models.build import build_model

from .models import DEVICES, VARIANTS, config, ids, model, real


def test_without_positions_the_encoder_is_permutation_equivariant() -> None:
    network, source = model("without positions").double(), ids(2, 11)
    order = torch.randperm(11)
    torch.testing.assert_close(network.states(source[:, order]), network.states(source)[:, order], rtol=0, atol=1e-12)


def test_without_positions_the_order_of_the_source_means_nothing_to_the_decoder() -> None:
    network, source, target = model("without positions").double(), ids(2, 11), ids(2, 5)
    mixed = source[:, torch.randperm(11)]
    torch.testing.assert_close(network.logits(mixed, target), network.logits(source, target), rtol=0, atol=1e-11)


@pytest.mark.parametrize("variant", ["pre", "learned"])
def test_with_positions_it_is_not(variant: str) -> None:
    network, source = model(variant), torch.arange(4, 15)[None]
    order = torch.arange(11).flip(0)
    assert (network.states(source[:, order]) - network.states(source)[:, order]).abs().max() > 1e-2


@pytest.mark.parametrize("variant", VARIANTS)
def test_sentences_of_a_batch_do_not_mix(variant: str) -> None:
    network, source, target, mask = model(variant), ids(3, 7), ids(3, 5), real(7, 4, 5)
    order = torch.tensor([2, 0, 1])
    turned = network.logits(source[order], target[order], mask=mask[order])
    torch.testing.assert_close(turned, network.logits(source, target, mask=mask)[order], rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_and_evaluation_agree_without_dropout(variant: str) -> None:
    network, source, target, mask = model(variant), ids(3, 7), ids(3, 5), real(7, 4, 5)
    evaluated = network.eval().logits(source, target, mask=mask)
    assert torch.equal(network.train().logits(source, target, mask=mask), evaluated)
    with torch.no_grad():
        torch.testing.assert_close(network.eval().logits(source, target, mask=mask), evaluated, rtol=0, atol=1e-5)


def test_each_kind_of_dropout_acts_in_training_and_none_in_evaluation() -> None:
    source, target = ids(3, 7), ids(3, 5)
    for kind in ("dropout", "attention_dropout", "feedforward_dropout"):
        network = model(**{kind: 0.3})
        first, again = (network.train().logits(source, target) for _ in range(2))
        assert not torch.equal(first, again), kind
        torch.manual_seed(5)
        seeded = network.logits(source, target)
        torch.manual_seed(5)
        assert torch.equal(network.logits(source, target), seeded), kind
        network.eval()
        assert torch.equal(network.logits(source, target), network.logits(source, target)), kind


def test_a_seed_gives_one_model_and_one_training() -> None:
    def losses() -> list[float]:
        network = build_model(config(dropout=0.1), seed=3).train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
        torch.manual_seed(4)
        source, target, seen = ids(3, 7), ids(3, 5), []
        for _ in range(4):
            loss = network.logits(source, target).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            seen.append(loss.item())
        return seen

    assert losses() == losses()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("length", [5, 113])
@pytest.mark.parametrize("variant", VARIANTS)
def test_bfloat16_is_close_forward_and_backward(variant: str, length: int, device: str) -> None:
    network = model(variant).to(device)
    source, target, mask = ids(3, 7).to(device), ids(3, length).to(device), real(7, 4, 5).to(device)
    direction = torch.randn(3, length, 31, device=device)

    def run(automatic: bool) -> tuple[torch.Tensor, torch.Tensor]:
        network.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=automatic):
            logits = network.logits(source, target, mask=mask)
        (logits.float() * direction).sum().backward()
        return logits.float(), torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    (logits, gradient), (half, half_gradient) = run(False), run(True)
    assert (half - logits).norm() / logits.norm() < 0.03
    assert (half_gradient - gradient).norm() / gradient.norm() < 0.1


def test_shortest_and_longest_inputs() -> None:
    network = model()
    assert network.logits(ids(1, 1), ids(1, 1)).shape == (1, 1, 31)
    assert network.logits(ids(2, 131), ids(2, 131)).shape == (2, 131, 31)


def test_looking_through_the_seam_changes_nothing() -> None:
    network, source, target = model(), ids(2, 7), ids(2, 5)
    with torch.no_grad():
        before = network.logits(source, target)
        seen: list[tuple[int, ...]] = []
        for module in network.modules():
            if type(module).__name__ == "AttentionStep":
                module.register_forward_hook(lambda module, given, mixed: seen.append(tuple(given[0].shape)))
        assert torch.equal(network.logits(source, target), before)
    assert seen == [(2, 3, 7, 8)] * 2 + [(2, 3, 5, 8)] * 6
