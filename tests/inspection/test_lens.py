"""Logit lens and direct contributions: the last station is the answer, and the addends of a logit sum to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.inspection.inspection import Choice, Inspection, inspect_forward
from clearhead.inspection.lens import blocks_of, logit_lens
from clearhead.inspection.logit_contributions import logit_contributions
from clearhead.mechanism.multihead import value_up

from .models import model, words

NORMS = [("layer", "pre"), ("layer", "post"), ("rms", "pre"), ("rms", "post"), ("batch", "pre"), ("none", "pre")]


def looked_at(network: Any, choice: Choice | None = None) -> Inspection:
    torch.manual_seed(4)
    source, target = words(1, 3), words(1, 5)
    kind = network.config.architecture
    forward = (
        (lambda: network.logits(source, target)) if kind == "encoder-decoder" else (lambda: network.logits(target))
    )
    return inspect_forward(network, forward, list("abc"), list("vwxyz"), choice=choice or Choice())


@pytest.mark.parametrize("kind", ["encoder-decoder", "decoder"])
def test_the_last_station_is_the_answer(kind: str) -> None:
    network = model(architecture=kind)
    seen = looked_at(network)
    stations = blocks_of(seen.residual)
    assert stations == ["decoder.embedding", "decoder.0", "decoder.1"]
    found = logit_lens(seen.residual, lambda x: network.output(network.decoder.norm(x)), stations, top_k=3)
    probabilities = seen.logits.softmax(-1).float()
    torch.testing.assert_close(found.top_probabilities[-1], probabilities.topk(3).values)
    assert torch.equal(found.final_ids, seen.logits.argmax(-1))
    assert found.final_ranks[-1].eq(0).all() and found.final_ranks[0].max() > 0
    early = network.output(network.decoder.norm(seen.residual["decoder.0"])).log_softmax(-1)
    expected = early.gather(-1, found.final_ids[:, None])[:, 0].float()
    torch.testing.assert_close(found.final_log_probabilities[1], expected)
    with pytest.raises(ConfigurationError, match=r"the stream at 'decoder.7' was not kept; there are "):
        logit_lens(seen.residual, lambda x: x, ["decoder.7"])


@pytest.mark.parametrize(("norm", "order"), NORMS)
@pytest.mark.parametrize("kind", ["encoder-decoder", "decoder"])
def test_addends_sum_to_the_logit(kind: str, norm: str, order: str) -> None:
    network = model(architecture=kind, norm=norm, norm_order=order)
    seen = looked_at(network)
    for position, token in ((0, 5), (4, 30)):
        found = logit_contributions(network, seen, position, token)
        assert found.logit == pytest.approx(seen.logits[position, token].item())
        assert sum(part.value for part in found.parts) == pytest.approx(found.logit, abs=1e-9)
        heads = {(part.part, part.head) for part in found.of_heads()}
        kinds = ("self", "cross") if kind == "encoder-decoder" else ("self",)
        assert heads == {(f"decoder.{layer}.{kind}", head) for layer in (0, 1) for kind in kinds for head in (0, 1)}


@pytest.mark.parametrize("pooling", ["none", "first"])
def test_a_classifiers_logit(pooling: str) -> None:
    network = model(architecture="encoder", pooling=pooling, encoder_layers=2)
    seen = looked_at(network)
    found = logit_contributions(network, seen, 0, 3, stack="encoder")
    assert sum(part.value for part in found.parts) == pytest.approx(found.logit, abs=1e-9)


def test_without_norms_a_heads_addend_is_what_it_added_times_the_output_row() -> None:
    network = model(architecture="decoder", norm="none")
    seen = looked_at(network)
    record = seen["decoder.1.self"]
    added = record.mixed[0, 1, 2] @ value_up(record.output, 2)[1]
    (found,) = (
        part.value
        for part in logit_contributions(network, seen, 2, 7).parts
        if (part.part, part.head) == ("decoder.1.self", 1)
    )
    assert found == pytest.approx((added @ network.output.weight[7]).item())


def test_what_does_not_add_up_or_was_not_kept_is_refused() -> None:
    pooled = model(architecture="encoder", pooling="mean")
    with pytest.raises(ConfigurationError, match=r"the addends sum to .* but the model's logit is .*pooling"):
        logit_contributions(pooled, looked_at(pooled), 0, 3, stack="encoder")
    network = model(architecture="decoder")
    with pytest.raises(ConfigurationError, match=r"decoder\.0\.self was not kept: look at all layers"):
        logit_contributions(network, looked_at(network, Choice(layers=[1])), 0, 3)
    with pytest.raises(ConfigurationError, match="token: expected a number from 0 to 30, got 31"):
        logit_contributions(network, looked_at(network), 0, 31)
