"""A pruned model gives what the whole one gives with these heads silenced, however its heads are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.inspection.ablate import without_heads
from clearhead.inspection.seams import seams
from clearhead.mechanism.left import Left
from clearhead.models.account import account
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.pruning import heads_left, without

Gone = Mapping[str, Sequence[int]]
IN_BOTH = {
    "encoder.0.self": [1, 3],
    "decoder.0.self": [0],
    "decoder.1.cross": [5, 2, 4],
    "decoder.1.self": [0, 1, 2, 3],
}
IN_ENCODER = {"encoder.0.self": [5, 0]}
IN_DECODER = {"decoder.0.self": [2, 3, 4], "decoder.1.self": [1]}
KINDS: dict[str, tuple[dict[str, Any], Gone]] = {
    "plain": ({}, IN_BOTH),
    "grouped": ({"key_value_heads": 2, "key_width": 5, "value_width": 7}, IN_BOTH),
    "multi-query": ({"key_value_heads": 1, "positions": "rotary", "key_width": 4}, IN_BOTH),
    "additive, alibi": ({"score": "additive", "score_width": 5, "positions": "alibi", "key_value_heads": 3}, IN_BOTH),
    "bilinear, t5": ({"score": "bilinear", "positions": "t5", "norm_order": "post", "normalizer": "entmax15"}, IN_BOTH),
    "no biases, norms of heads": (
        {"biases": {"query_key_value": False, "attention_output": False}, "query_key_norm": True},
        IN_BOTH,
    ),
    "encoder": ({"architecture": "encoder", "positions": "alibi", "window": 2}, IN_ENCODER),
    "decoder": ({"architecture": "decoder", "positions": "t5", "key_value_heads": 2}, IN_DECODER),
}
IDS = torch.randint(4, 31, (3, 7), generator=torch.Generator().manual_seed(5))
TIGHT = {"rtol": 0, "atol": 1e-11}


def config(**changes: Any) -> ModelConfig:
    sizes: dict[str, Any] = {"width": 24, "heads": 6, "feedforward": 13, "encoder_layers": 1, "decoder_layers": 2}
    return ModelConfig(**sizes | changes, source_vocabulary=31, target_vocabulary=31, dropout=0.0)


def model(**changes: Any) -> Any:
    network = build_model(config(**changes), seed=1).double().eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return network


def run(network: Any) -> Tensor:
    both = network.config.architecture == "encoder-decoder"
    logits: Tensor = network.logits(IDS, IDS.flip(1)) if both else network.logits(IDS)
    return logits


def cached(network: Any) -> Tensor:
    """The logits of a target fed token by token."""
    mask, target = torch.ones_like(IDS, dtype=torch.bool), IDS.flip(1)
    source = IDS if network.config.architecture == "encoder-decoder" else IDS[:, :0]
    state = network.begin(source, mask[:, : source.shape[1]], beam=1, max_length=2)
    return torch.cat([network.advance(target[:, i : i + 1], state) for i in range(target.shape[1])], dim=1)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_pruned_equals_silenced(kind: str) -> None:
    changes, gone = KINDS[kind]
    whole = model(**changes)
    smaller: Any = without(whole, gone)
    intact = run(whole)
    with without_heads(whole, gone):
        silenced = run(whole)
        torch.testing.assert_close(run(smaller), silenced, **TIGHT)
        if whole.config.architecture != "encoder":
            torch.testing.assert_close(cached(smaller), cached(whole), **TIGHT)
    assert (silenced - intact).abs().max() > 1e-3
    assert torch.equal(run(whole), intact)


@pytest.mark.parametrize("kind", KINDS)
def test_its_size_is_counted_and_its_configuration_builds_it(kind: str) -> None:
    changes, gone = KINDS[kind]
    whole = model(**changes)
    smaller: Any = without(whole, gone)
    count = sum(parameter.numel() for parameter in smaller.parameters())
    assert account(smaller.config).total == count < account(whole.config).total
    again: Any = build_model(ModelConfig.model_validate_json(smaller.config.model_dump_json()), seed=3).double().eval()
    again.load_state_dict(smaller.state_dict())
    assert torch.equal(run(again), run(smaller))
    assert {name: seam.heads for name, seam in seams(smaller).items()} == {
        name: heads_left(smaller.config, name)[0] for name in smaller.config.attentions()
    }


@torch.no_grad()
def test_pruning_twice_is_pruning_at_once() -> None:
    whole = model(key_value_heads=2)
    twice: Any = without(without(whole, {"decoder.0.self": [0, 4]}), {"decoder.0.self": [2, 0], "decoder.1.cross": [3]})
    once: Any = without(whole, {"decoder.0.self": [0, 1, 3, 4], "decoder.1.cross": [3]})
    assert twice.config == once.config
    assert twice.config.kept_heads == {"decoder.0.self": [2, 5], "decoder.1.cross": [0, 1, 2, 4, 5]}
    assert all(torch.equal(a, b) for a, b in zip(twice.parameters(), once.parameters(), strict=True))
    assert torch.equal(run(twice), run(once))


def test_pruning_nothing_is_a_copy() -> None:
    whole = model()
    same: Any = without(whole, {"encoder.0.self": []})
    assert same.config == whole.config
    assert torch.equal(run(same), run(whole))
    assert not {x.data_ptr() for x in same.parameters()} & {x.data_ptr() for x in whole.parameters()}


def test_it_trains_and_what_was_frozen_stays_so() -> None:
    whole = model(score="additive", key_value_heads=2)
    frozen = whole.decoder.blocks[1].cross_attention
    frozen.query.weight.requires_grad_(False)
    frozen.step.score.key.requires_grad_(False)
    smaller: Any = without(whole, IN_BOTH).train()  # type: ignore[assignment]
    run(smaller).square().sum().backward()
    still = {name for name, parameter in smaller.named_parameters() if parameter.grad is None}
    assert still == {"decoder.blocks.1.cross_attention.query.weight", "decoder.blocks.1.cross_attention.step.score.key"}


def test_a_key_value_head_goes_with_the_last_head_that_reads_it() -> None:
    left = Left.whole(6, 2)
    assert left.reads == (0, 0, 0, 1, 1, 1)
    assert left.take([1, 3]) == Left((1, 3), (0, 1))
    assert left.take([1, 3]).even
    uneven = left.take([0, 1, 4])
    assert (uneven.groups, uneven.even) == (2, False)
    assert uneven.take([2]) == Left((4,), (0,))
    keys = torch.arange(2.0)[None, :, None, None]
    assert uneven.spread(keys).flatten().tolist() == [0, 0, 1]
    assert heads_left(config(key_value_heads=2, kept_heads={"encoder.0.self": [3, 5]}), "encoder.0.self") == (2, 1)


WRONG: dict[str, tuple[Gone, str]] = {
    "name": ({"decoder.1.cros": [0]}, r"no attention 'decoder.1.cros' \(did you mean 'decoder.1.cross'\?\)"),
    "head": ({"decoder.1.cross": [6]}, r"decoder.1.cross has 6 heads, so expected a number from 0 to 5, got 6"),
    "all": ({"decoder.1.cross": range(6)}, r"decoder.1.cross: all of its 6 heads would be gone"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_cannot_be_pruned_is_refused(wrong: str) -> None:
    heads, sentence = WRONG[wrong]
    with pytest.raises(ConfigurationError, match=sentence):
        without(model(), heads)


def test_an_lstm_has_no_heads_to_prune() -> None:
    with pytest.raises(ConfigurationError, match='body is "lstm"'):
        without(model(body="lstm"), {"decoder.0.cross": [0]})


@pytest.mark.parametrize("kept", [[], [1, 1], [2, 1], [6], [-1]])
def test_a_configuration_with_impossible_heads_is_refused(kept: list[int]) -> None:
    with pytest.raises(
        ValidationError, match=r"kept_heads: of encoder.0.self expected at least one number from 0 to 5"
    ):
        config(kept_heads={"encoder.0.self": kept})


def test_a_configuration_with_an_unknown_attention_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"kept_heads: this model has no attention 'encoder.1.self'"):
        config(kept_heads={"encoder.1.self": [0]})
    with pytest.raises(ValidationError, match="kept_heads belongs to Transformers"):
        config(body="lstm", kept_heads={"encoder.0.self": [0]})
