"""Looking at a compiled model changes no bit of what it gives, and shows what passes through it."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clearhead.inspection.ablate import head_means, without_heads
from clearhead.inspection.capture import attention_names, inspecting
from clearhead.inspection.gates import head_slopes
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig

SIZES: dict[str, Any] = {"width": 12, "heads": 2, "feedforward": 13, "decoder_layers": 1, "target_vocabulary": 31}
GIVEN = torch.tensor([[3, 29, 11, 7, 7, 19, 4], [13, 2, 30, 8, 1, 23, 17]])
COMPILER = shutil.which("g++") or shutil.which("clang++")
INDUCTOR = pytest.param("inductor", marks=pytest.mark.skipif(COMPILER is None, reason="needs a compiler of C++"))
every_backend = pytest.mark.parametrize("both", ["aot_eager", INDUCTOR], indirect=True)


@pytest.fixture
def both(request: pytest.FixtureRequest) -> tuple[nn.Module, Any]:
    torch._dynamo.reset()
    network = build_model(ModelConfig(architecture="decoder", dropout=0.2, **SIZES), seed=1).eval()
    return network, torch.compile(network, backend=getattr(request, "param", "aot_eager"))


def steps(network: nn.Module, compiled: Any, seen_by: nn.Module | None) -> list[Tensor]:
    """Three updates with dropout: losses and gradients, and a number drawn behind them."""
    torch.manual_seed(5)
    network.train()
    found = []
    for _ in range(3):
        network.zero_grad()
        if seen_by is None:
            loss = compiled(GIVEN).square().mean()
        else:
            with inspecting(seen_by) as seen:
                loss = compiled(GIVEN).square().mean()
            assert list(seen.records) == attention_names(network)
        loss.backward()
        found += [loss.detach(), *(each.grad.clone() for each in network.parameters() if each.grad is not None)]
    return [*found, torch.rand(3)]


@every_backend
@pytest.mark.parametrize("through", ["network", "compiled"])
def test_the_answer_is_the_compiled_codes_own(both: tuple[nn.Module, Any], through: str) -> None:
    network, compiled = both
    looked_at = {"network": network, "compiled": compiled}[through]
    with torch.no_grad():
        before = compiled(GIVEN)
        with inspecting(looked_at) as seen:
            assert torch.equal(compiled(GIVEN), before)
        assert list(seen.records) == ["decoder.0.self"] and "decoder.0" in seen.residual
        first = seen["decoder.0.self"].q
        with inspecting(network) as plain:
            network(GIVEN)
        assert torch.equal(plain["decoder.0.self"].q, first)
        assert torch.equal(compiled(GIVEN), before)
        assert seen["decoder.0.self"].q is first  # nobody looks any more


def test_what_is_first_compiled_while_somebody_looks_stays_without_hooks(both: tuple[nn.Module, Any]) -> None:
    network, compiled = both
    with torch.no_grad():
        with inspecting(network) as seen:
            looked = compiled(GIVEN)
        first = seen["decoder.0.self"].q
        assert torch.equal(compiled(GIVEN), looked)
        assert seen["decoder.0.self"].q is first
        with inspecting(network) as again:
            compiled(GIVEN)
        assert torch.equal(again["decoder.0.self"].q, first)


@every_backend
def test_in_training_losses_gradients_and_random_numbers_stay(both: tuple[nn.Module, Any]) -> None:
    network, compiled = both
    wanted = steps(network, compiled, None)
    for seen_by in (network, compiled):
        for mine, other in zip(steps(network, compiled, seen_by), wanted, strict=True):
            assert torch.equal(mine, other)


def test_silenced_heads_are_silent_and_seen(both: tuple[nn.Module, Any]) -> None:
    network, compiled = both
    with torch.no_grad(), without_heads(network, {"decoder.0.self": [1]}):
        wanted = network(GIVEN)
        with inspecting(network) as seen:
            assert torch.equal(compiled(GIVEN), wanted)
    assert float(seen["decoder.0.self"].mixed[:, 1].abs().max()) == 0.0


def test_calls_are_ones_own_again_afterwards(both: tuple[nn.Module, Any]) -> None:
    network, compiled = both
    plain = type(compiled).__call__
    with inspecting(network), inspecting(compiled):
        assert type(compiled).__call__ is not plain
    assert type(compiled).__call__ is plain


def test_means_and_slopes_are_those_of_the_model_as_it_is_written(both: tuple[nn.Module, Any]) -> None:
    network, compiled = both
    with torch.no_grad():
        compiled(GIVEN)
        wanted, found = (head_means(network, lambda ask=ask: ask(GIVEN)) for ask in both)
    assert torch.equal(found["decoder.0.self"], wanted["decoder.0.self"])
    one, other = (head_slopes(network, (ask(GIVEN).square().sum((1, 2)) for _ in range(1))) for ask in both)
    assert float(one["decoder.0.self"].min()) > 0
    assert torch.equal(one["decoder.0.self"], other["decoder.0.self"])
