"""Adapters: begin as the model they adapt, learn only themselves, merge into an ordinary model that answers alike."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.capture import inspecting
from clearhead.mechanism.multihead import acting_weight
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.lora import adapt, adapter_weights, is_adapter, load_adapter, merged_weights
from clearhead.models.lora_settings import LoraSettings, Target
from clearhead.training.weights import load_weights, weights_of

ALL: tuple[Target, ...] = ("query", "key", "value", "output", "feedforward")
SIZES: dict[str, Any] = {"width": 15, "heads": 3, "feedforward": 11, "encoder_layers": 2, "decoder_layers": 2}
SIZES |= {"source_vocabulary": 23, "target_vocabulary": 23, "dropout": 0.0, "max_positions": 31, "classes": 7}
MODELS = {
    "encoder": {"architecture": "encoder"},
    "grouped": {"architecture": "encoder", "heads": 6, "key_value_heads": 2, "key_width": 5, "value_width": 4},
    "gated": {"architecture": "encoder", "activation": "swiglu", "pooling": "attention"},
    "decoder": {"architecture": "decoder"},
    "encoder-decoder": {"architecture": "encoder-decoder"},
}


def built(kind: str) -> nn.Module:
    return build_model(ModelConfig.model_validate(SIZES | MODELS[kind]), seed=3).double().eval()


def settings(**changes: Any) -> LoraSettings:
    return LoraSettings.model_validate({"rank": 2, "alpha": 6.0, "targets": ALL} | changes)


def logits(model: nn.Module, kind: str) -> Tensor:
    ids = torch.arange(1, 11).reshape(2, 5)
    with torch.inference_mode():
        found: Tensor = model(ids, ids + 7) if kind == "encoder-decoder" else model(ids)
    return found


def moved(model: nn.Module) -> None:
    """Give every adapter some value, as training would."""
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if is_adapter(name):
            nn.init.normal_(parameter, std=0.3)


@pytest.mark.parametrize("kind", MODELS)
def test_at_first_it_is_the_model_it_adapts(kind: str) -> None:
    model = built(kind)
    before = logits(model, kind)
    adapt(model, settings(), seed=1)
    assert torch.equal(logits(model, kind), before)


@pytest.mark.parametrize("kind", MODELS)
def test_merged_answers_as_adapted(kind: str) -> None:
    model, plain = built(kind), built(kind)
    before = logits(model, kind)
    names = weights_of(model).keys()
    adapt(model, settings(), seed=1)
    moved(model)
    adapted = logits(model, kind)
    assert not torch.allclose(adapted, before, atol=1e-2)
    merged = merged_weights(model)
    assert merged.keys() == names
    assert torch.equal(logits(model, kind), adapted)  # merging made copies
    load_weights(plain, merged, "merged")
    torch.testing.assert_close(logits(plain, kind), adapted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", MODELS)
def test_what_heads_add_has_the_adapters_in_it(kind: str) -> None:
    model = built(kind)
    adapt(model, settings(), seed=1)
    moved(model)
    with inspecting(model) as seen:
        logits(model, kind)
    for name, record in seen.records.items():
        bias = 0 if record.output.bias is None else record.output.bias
        with torch.no_grad():
            together, whole = record.additions().sum(1) + bias, record.addition()
        torch.testing.assert_close(together, whole, rtol=1e-12, atol=1e-12)
        assert not torch.equal(acting_weight(record.output), record.output.weight), name


def test_a_product_worked_by_hand() -> None:
    """r = 2, α = 6, so 3 B A; keys are the second third of the packed projection, and nothing else moves."""
    model = built("encoder")
    projection = model.encoder.blocks[0].self_attention.query_key_value  # type: ignore[union-attr,index]
    before = projection.weight.detach().clone()
    adapt(model, settings(targets=["key"]), seed=1)
    adapted = model.encoder.blocks[0].self_attention.query_key_value  # type: ignore[union-attr,index]
    with torch.no_grad():
        adapted.down["key"].zero_()[0, 4], adapted.down["key"][1, 9] = 0.5, 2.0
        adapted.up["key"].zero_()[3, 0], adapted.up["key"][3, 1] = 1.0, 0.25
    change = merged_weights(model)["encoder.blocks.0.self_attention.query_key_value.weight"] - before
    expected = torch.zeros_like(before)
    expected[15 + 3, 4], expected[15 + 3, 9] = 3 * 0.5, 3 * 0.5
    torch.testing.assert_close(change, expected)


def test_only_adapters_and_the_head_are_trained() -> None:
    model = built("gated")
    adapt(model, settings(targets=["query", "value"]), seed=1)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    head = {"output.weight", "output.bias", "pooling.key.weight", "pooling.key.bias", "pooling.query.weight"}
    site = "encoder.blocks.{}.self_attention.query_key_value.{}.{}"
    adapters = {site.format(n, way, part) for n in (0, 1) for way in ("down", "up") for part in ("query", "value")}
    assert trained == head | adapters
    assert adapter_weights(model).keys() == trained


def test_without_a_head_only_adapters_are_trained() -> None:
    model = built("decoder")
    adapt(model, settings(), seed=1, head=())
    assert all(is_adapter(name) for name, parameter in model.named_parameters() if parameter.requires_grad)
    assert all(map(is_adapter, adapter_weights(model, ())))


def test_sizes_by_hand() -> None:
    """r (in + out) each: W = 15, F = 11, two blocks; gate and way in are packed and have one each."""
    model = built("gated")
    before = sum(parameter.numel() for parameter in model.parameters())
    adapt(model, settings(rank=3, targets=ALL), seed=1)
    added = sum(parameter.numel() for parameter in model.parameters()) - before
    assert added == 2 * 3 * (4 * (15 + 15) + 3 * (15 + 11))


def test_an_adapter_alone_makes_the_same_model() -> None:
    model, other = built("encoder"), built("encoder")
    adapt(model, settings(), seed=1)
    moved(model)
    adapt(other, settings(), seed=2)
    load_adapter(other, copy.deepcopy(adapter_weights(model)), "adapter.safetensors")
    assert torch.equal(logits(other, "encoder"), logits(model, "encoder"))


def test_an_adapter_of_another_model_is_refused() -> None:
    model, other = built("encoder"), built("encoder")
    adapt(model, settings(targets=["query"]), seed=1)
    adapt(other, settings(targets=["value"]), seed=1)
    with pytest.raises(ConfigurationError, match=r"adapter\.safetensors is of another model.*query_key_value"):
        load_adapter(other, adapter_weights(model), "adapter.safetensors")
    adapt(wider := built("encoder"), settings(targets=["value"], rank=3), seed=1)
    with pytest.raises(ConfigurationError, match=r"should have shape \(2, 15\), but has \(3, 15\)"):
        load_adapter(other, adapter_weights(wider), "adapter.safetensors")


def test_what_has_no_blocks_of_a_transformer_has_nothing_to_adapt() -> None:
    lstm = build_model(ModelConfig(architecture="encoder", body="lstm", width=10, encoder_layers=1), seed=1)
    with pytest.raises(ConfigurationError, match="adapters are for the blocks of a Transformer"):
        adapt(lstm, settings(), seed=1)


def test_adapters_begin_by_their_seed_alone() -> None:
    one, other = built("encoder"), built("encoder")
    state = torch.get_rng_state()
    adapt(one, settings(), seed=4)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(5)
    adapt(other, settings(), seed=4)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
