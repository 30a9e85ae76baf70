"""A user's own positions, score and normaliser in every architecture: used, and refused where they contradict."""

from __future__ import annotations

from typing import Any, get_args

import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.layers.embedding import sinusoids
from clearhead.mechanism.positions import slopes
from clearhead.models.build import build_model
from clearhead.models.config import Architecture, ModelConfig
from clearhead.models.rules import Rules

IDS = torch.randint(4, 31, (2, 7), generator=torch.Generator().manual_seed(1))
SAME = {  # a rule, and what names the same thing in a configuration
    "sinusoidal": (Rules(added=lambda places: sinusoids(41, 12)[places]), {}),
    "alibi": (Rules(by_distance=lambda distances: -slopes(2)[:, None] * distances.abs()), {}),
    "dot": (Rules(score=lambda q, k: q @ k.transpose(-2, -1)), {"score": "dot"}),
    "sigmoid": (Rules(normalize=torch.sigmoid), {"normalizer": "sigmoid"}),
}


def model(architecture: str, rules: Rules | None = None, **changes: Any) -> Any:
    config = ModelConfig(
        architecture=architecture, width=12, heads=2, feedforward=13, encoder_layers=2, decoder_layers=2,
        max_positions=41, source_vocabulary=31, target_vocabulary=31, **changes,
    )  # fmt: skip
    return build_model(config, seed=1, rules=rules or Rules()).eval()


@pytest.mark.parametrize("architecture", get_args(Architecture))
@pytest.mark.parametrize("kind", SAME)
def test_a_rule_that_says_what_a_name_says_gives_the_same(kind: str, architecture: str) -> None:
    rules, named = SAME[kind]
    positions = "none" if kind in ("sinusoidal", "alibi") else "sinusoidal"
    mine = model(architecture, rules, positions=positions)
    right = model(architecture, positions=kind if positions == "none" else "sinusoidal", **named)
    given = (IDS, IDS) if architecture == "encoder-decoder" else (IDS,)
    torch.testing.assert_close(mine(*given), right(*given), rtol=0, atol=1e-5)
    assert mine.state_dict().keys() == right.state_dict().keys()


@torch.no_grad()
def test_a_rule_by_distance_follows_the_cache() -> None:
    network = model("decoder", SAME["alibi"][0], positions="none").double()
    state = network.begin(IDS[:, :3], torch.ones(2, 3, dtype=torch.bool), beam=1, max_length=9)
    for place in range(3, 7):
        cached = network.advance(IDS[:, place : place + 1], state)
    torch.testing.assert_close(cached[:, 0], network.logits(IDS)[:, -1], rtol=0, atol=1e-12)


def test_rules_that_contradict_the_configuration_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'by_distance' stands for positions.*\"none\", got \"sinusoidal\""):
        model("decoder", SAME["alibi"][0])
    with pytest.raises(ConfigurationError, match=r"body is \"lstm\": leave out score"):
        model("decoder", SAME["dot"][0], body="lstm")
