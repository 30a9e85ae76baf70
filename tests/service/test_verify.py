"""``verify`` on every architecture, with every kind of score, normaliser, position: all holds, and errors show."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from clearhead.mechanism import paths
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.service import verify as module
from clearhead.service.verify import Check, verify

SMALL: dict[str, Any] = {
    "width": 12,
    "heads": 2,
    "feedforward": 8,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "source_vocabulary": 23,
    "target_vocabulary": 19,
    "tie": "target",
    "classes": 3,
}
MODELS: dict[str, dict[str, Any]] = {
    "additive, entmax, t5": {"score": "additive", "normalizer": "entmax15", "positions": "t5"},
    "bilinear, alibi": {"score": "bilinear", "positions": "alibi"},
    "lstm": {"body": "lstm"},
    "encoder, sparsemax": {"architecture": "encoder", "normalizer": "sparsemax", "norm": "batch"},
    "encoder, pooled, vectors": {
        "architecture": "encoder",
        "input_width": 5,
        "pooling": "mean",
        "normalizer": "sigmoid",
    },
    "encoder, lstm": {"architecture": "encoder", "body": "lstm"},
    "decoder, rotary, relu": {"architecture": "decoder", "positions": "rotary", "normalizer": "relu_mean"},
    "decoder, lstm": {"architecture": "decoder", "body": "lstm"},
    "few positions": {"max_positions": 6, "positions": "learned"},
}


def checks(settings: dict[str, Any]) -> list[Check]:
    config = ModelConfig(**{**SMALL, **settings})
    model = build_model(config, seed=1).eval()
    return list(verify(SimpleNamespace(model=model, config=config, device=torch.device("cpu"))))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", MODELS)
def test_everything_holds(name: str) -> None:
    found = checks(MODELS[name])
    assert [check for check in found if not check.holds] == []
    attentions = {check.what for check in found if "." in check.what}
    recurrent = MODELS[name].get("body") == "lstm"
    expected = {
        "encoder-decoder": {"decoder.0.cross"} if recurrent else
        {"encoder.0.self", "decoder.0.self", "decoder.1.self", "decoder.0.cross", "decoder.1.cross"},
        "encoder": set() if recurrent else {"encoder.0.self"},
        "decoder": set() if recurrent else {"decoder.0.self", "decoder.1.self"},
    }  # fmt: skip
    architecture = MODELS[name].get("architecture", "encoder-decoder")
    assert attentions == expected[architecture]
    laws = {"encoder-decoder": {"decoding", "padding"}, "encoder": {"padding"}, "decoder": {"decoding", "documents"}}
    assert {check.what for check in found} - attentions == laws[architecture]


def test_a_path_that_does_not_compute_the_function_is_not_tried() -> None:
    assert {check.path for check in checks({"score": "additive"}) if "." in check.what} == {"products", "streamed"}
    assert {check.path for check in checks({"score": "bilinear"}) if "." in check.what} == {
        "products",
        "fused",
        "streamed",
    }


def test_streaming_is_tried_in_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = paths._part
    monkeypatch.setattr(paths, "_part", lambda *given: asked.append(given[2]) or original(*given))
    assert all(check.holds for check in checks({"normalizer": "sparsemax"}))
    assert len(asked) >= 3 * 5


def test_a_normaliser_that_is_wrong_on_one_path_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.PATHS, "streamed", lambda problem: paths.streamed(problem) * 1.01)
    failed = {check.path for check in checks({"normalizer": "sparsemax", "positions": "alibi"}) if not check.holds}
    assert failed == {"streamed"}
