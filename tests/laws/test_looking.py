"""Looking changes nothing: bit by bit the same outputs, gradients and random numbers on every path; nothing stays.

And when nobody looks, nothing is computed: no map is built, and no hook is left behind.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clearhead.generation.batches import generate
from clearhead.generation.settings import DecodingSettings
from clearhead.inspection import record as records
from clearhead.inspection.capture import inspecting
from clearhead.inspection.search import recording
from clearhead.models.build import build_model

from .models import VARIANTS, config, ids, model, real

KINDS: dict[str, dict[str, Any]] = {
    "language model": {"architecture": "decoder", "positions": "rotary"},
    "encoder": {"architecture": "encoder", "pooling": "mean", "classes": 5},
    "lstm": {"body": "lstm", "heads": 4},
    "window": {"window": 2, "mask_self": True},
}


def any_model(kind: str) -> Any:
    torch.manual_seed(6)  # of what ``model`` adds to the initial weights
    return build_model(config(**KINDS[kind]), seed=1).eval() if kind in KINDS else model(kind)


def run(network: Any) -> Tensor:
    """Padded rows through the whole model; the same inputs each time."""
    torch.manual_seed(5)
    source, target, mask = ids(3, 7), ids(3, 5), real(7, 4, 5)
    architecture = network.config.architecture
    if architecture == "decoder":
        return network.logits(target)
    return network.logits(source, mask=mask) if architecture == "encoder" else network.logits(source, target, mask=mask)


def hooks(network: nn.Module) -> int:
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in network.modules())


@pytest.mark.parametrize("kind", [*VARIANTS, *KINDS])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_outputs_are_the_same_bits(kind: str, dtype: torch.dtype, path: None) -> None:
    network = any_model(kind).to(dtype)
    with torch.no_grad():
        before = run(network)
        with inspecting(network) as seen:
            assert torch.equal(run(network), before)
        assert torch.equal(run(network), before)
    assert seen.records and hooks(network) == 0


@pytest.mark.parametrize("kind", ["pre", "post", "language model", "encoder", "lstm"])
def test_training_with_dropout_is_the_same_bits(kind: str, path: None) -> None:
    """Outputs, gradients, and the random number that is drawn next."""

    def trained(looking: bool) -> list[Tensor]:
        network = any_model(kind).train()
        for module in network.modules():
            if type(module).__name__ == "Dropout":
                module.p = 0.3
            if type(module).__name__ == "AttentionStep":
                module.dropout = 0.2
        if looking:
            with inspecting(network):
                logits = run(network)
                logits.square().mean().backward()
        else:
            logits = run(network)
            logits.square().mean().backward()
        return [logits, *(p.grad for p in network.parameters() if p.grad is not None), torch.rand(3)]

    for one, other in zip(trained(False), trained(True), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["pre", "grouped", "t5", "lstm"])
@torch.no_grad()
def test_a_search_with_the_cache_finds_the_same_bits(kind: str, path: None) -> None:
    network, sources = any_model(kind), [[5, 6, 7], [8, 9, 10, 11], [12]]
    settings = DecodingSettings(beam=3, n_best=3, max_length=7)
    before = generate(network, sources, settings, workers=1)
    with recording(network, network) as recorder:
        assert generate(recorder, sources, settings, workers=1) == before
    assert hooks(network) == 0


def test_nothing_is_kept_afterwards() -> None:
    network = model()
    with torch.no_grad(), inspecting(network) as seen:
        run(network)
    kept = [weakref.ref(record.q) for record in seen.records.values()]
    kept += [weakref.ref(stream) for stream in seen.residual.values()]
    del seen
    gc.collect()
    assert all(reference() is None for reference in kept)
    with pytest.raises(RuntimeError, match="stop"), inspecting(network):
        raise RuntimeError("stop")
    assert hooks(network) == 0


def test_nothing_is_computed_until_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counting(name: str) -> Callable[..., Tensor]:
        computed = getattr(records, name)

        def count(*given: Any, **shape: Any) -> Any:
            asked.append(name)
            return computed(*given, **shape)

        return count

    for name in ("attention_weights", "attention_scores", "digest", "weights_tile", "raw_scores", "value_up"):
        monkeypatch.setattr(records, name, counting(name))
    network = model()
    with torch.no_grad(), inspecting(network) as seen:
        run(network)
    assert asked == []
    seen["decoder.0.cross"].weights()
    assert asked == ["attention_weights"]
