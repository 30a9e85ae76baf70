"""What passes the seam is what the model computed, whatever its scores, normalisers, biases and architecture."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.inspection.capture import attention_names, capture
from clearhead.inspection.inspection import inspect_forward
from clearhead.mechanism import textbook
from clearhead.mechanism.paths import choose

from .models import model, words

KINDS: list[dict[str, Any]] = [
    {},
    {"score": "additive", "positions": "alibi", "normalizer": "entmax15"},
    {"score": "bilinear", "positions": "t5", "normalizer": "sigmoid", "key_value_heads": 1},
    {"architecture": "encoder", "positions": "rotary", "window": 2, "normalizer": "sparsemax"},
    {"architecture": "decoder", "positions": "t5", "mask_self": True, "score": "dot", "normalizer": "relu_mean"},
]
TIGHT = {"rtol": 0, "atol": 1e-10}


def run(network: Any) -> torch.Tensor:
    ids = words(2, 7)
    kind = network.config.architecture
    logits: torch.Tensor = network.logits(ids, ids) if kind == "encoder-decoder" else network.logits(ids)
    return logits


@pytest.mark.parametrize("changes", KINDS, ids=str)
@torch.no_grad()
def test_weights_times_values_are_what_came_out(changes: dict[str, Any]) -> None:
    network = model(**changes)
    torch.manual_seed(2)
    before = run(network)
    torch.manual_seed(2)
    with capture(network) as seen:
        assert torch.equal(run(network), before)
    assert list(seen.records) == attention_names(network)
    for record in seen.records.values():
        weights, values = record.weights(), textbook.repeat_heads(record.v, 2)
        torch.testing.assert_close(weights @ values, record.mixed, **TIGHT)
        problem = record.problem()
        torch.testing.assert_close(choose(problem)(problem), record.mixed, **TIGHT)
        assert record.scores().shape == weights.shape


@torch.no_grad()
def test_heads_add_up_to_the_blocks_output() -> None:
    network, outputs = model(), []
    attention = network.encoder.blocks[0].self_attention
    attention.register_forward_hook(lambda module, given, output: outputs.append(output))
    with capture(network, ["encoder.0.self"]) as seen:
        run(network)
    record = seen["encoder.0.self"]
    torch.testing.assert_close(record.additions().sum(1) + attention.output.bias, outputs[0], **TIGHT)


def test_names_and_a_wrong_one() -> None:
    network = model()
    names = ["encoder.0.self", "decoder.0.self", "decoder.0.cross", "decoder.1.self", "decoder.1.cross"]
    assert attention_names(network) == names
    assert attention_names(model(architecture="decoder")) == ["decoder.0.self", "decoder.1.self"]
    with (
        pytest.raises(ConfigurationError, match=r"no attention 'encoder.0.sel'.*did you mean 'encoder.0.self'"),
        capture(network, ["encoder.0.sel"]),
    ):
        run(network)


def test_an_inspection_is_one_sentence() -> None:
    network, ids = model(architecture="decoder"), words(1, 5)
    seen = inspect_forward(network, lambda: network.logits(ids), list("abcde"), list("abcde"))
    assert seen.named("self") == ["decoder.0.self", "decoder.1.self"]
    assert seen.weights("decoder.1.self").shape == (2, 5, 5)
    assert seen.logits.shape == (5, 31)
