"""Attention in ONNX files: positions that act inside it, who may look at whom, shared and normed and pruned heads."""

from __future__ import annotations

from typing import Any

import pytest

from clearhead.models.pruning import without
from clearhead.service.onnx_model import MAKERS

from .exported import ids_of, model_of, near, padded, remembered, session, walked

pytest.importorskip("onnxruntime")
LLAMA3 = {"base": 97.0, "scaling": "llama3", "factor": 8.0, "slow": 1.0, "fast": 4.0, "original_positions": 31}
GROUPED = {"heads": 6, "key_value_heads": 2, "key_width": 8, "value_width": 5}
KINDS: dict[str, dict[str, Any]] = {
    "rotary": {"positions": "rotary"},
    "rotary, slowed down alike": {"positions": "rotary", "rotary": {"scaling": "linear", "factor": 3.5}},
    "rotary, slowed down by wavelength": {"positions": "rotary", "rotary": LLAMA3, "key_width": 14},
    "buckets": {"positions": "t5", "score": "dot"},
    "few buckets": {"positions": "t5", "buckets": {"count": 8, "farthest": 11}, "tie": "target"},
    "ALiBi": {"positions": "alibi"},
    "groups": GROUPED,
    "one group, turned": {"key_value_heads": 1, "positions": "rotary"},
    "groups with ALiBi": GROUPED | {"positions": "alibi"},
    "normed queries and keys": GROUPED | {"query_key_norm": True, "positions": "rotary", "norm_epsilon": 1e-3},
    "a window": {"window": 3},
    "a window of nothing else": {"window": 0, "positions": "rotary"},
    "not oneself": {"mask_self": True, "positions": "alibi"},
    "a window without oneself": GROUPED | {"window": 2, "mask_self": True, "positions": "t5"},
}
PRUNED: dict[str, dict[str, list[int]]] = {
    "one head here and there": {"encoder.0.self": [1], "decoder.0.self": [0], "decoder.2.cross": [2]},
    "a whole group": {"encoder.1.self": [3, 4, 5], "decoder.1.self": [0, 1, 2], "decoder.0.cross": [3, 4, 5]},
    "uneven groups": {"encoder.0.self": [0, 1], "decoder.0.self": [5], "decoder.1.cross": [0, 3, 4]},
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_an_encoder_gives_the_same_logits(kind: dict[str, Any]) -> None:
    encoder_agrees(model_of(kind | {"architecture": "encoder", "classes": 5}))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_steps_of_a_translator_give_what_teacher_forcing_gives(kind: dict[str, Any]) -> None:
    translator_agrees(model_of(kind))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_steps_of_a_language_model_after_a_prompt(kind: dict[str, Any]) -> None:
    writer_agrees(model_of(kind | {"architecture": "decoder"}))


@pytest.mark.parametrize("positions", ["rotary", "t5"])
@pytest.mark.parametrize("heads", PRUNED.values(), ids=PRUNED)
@pytest.mark.parametrize("groups", [2, 6])
def test_pruned_models_agree(heads: dict[str, list[int]], positions: str, groups: int) -> None:
    settings = GROUPED | {"positions": positions, "key_value_heads": groups}
    translator_agrees(without(model_of(settings), heads))
    for side, agree in (("encoder", encoder_agrees), ("decoder", writer_agrees)):
        here = {name: gone for name, gone in heads.items() if name.startswith(side) and name.endswith("self")}
        agree(without(model_of(settings | {"architecture": side}), here))


def test_no_length_of_positions_is_left_in_the_file() -> None:
    """Texts longer than any before, past the last bucket and the positions that rotary was slowed down for."""
    for kind in ({"positions": "t5"}, {"positions": "rotary", "rotary": LLAMA3}, {"positions": "alibi"}):
        model = model_of(kind | {"architecture": "decoder", "max_positions": 331})
        step = session(MAKERS["decoder"](model, model.config)["step.onnx"].packed.file)
        ids = ids_of((1, 331), 23)
        near(walked(step, model.config, ids, {}, (257, 1, 73)), model.logits(ids))


def encoder_agrees(model: Any) -> None:
    """For several batches and lengths, padded on either side."""
    running = session(MAKERS["encoder"](model, model.config)["model.onnx"].packed.file)
    for rows, length in ((1, 1), (3, 7), (2, 19)):
        ids, mask = ids_of((rows, length), 29), padded(rows, length)
        (found,) = running.run(["logits"], {"ids": ids.numpy(), "mask": mask.numpy()})
        near(found[mask.numpy()], model.logits(ids, mask=mask)[mask])


def translator_agrees(model: Any) -> None:
    """The source padded on either side, the target in steps of one and of several tokens."""
    files = MAKERS["encoder-decoder"](model, model.config)
    encoder, step = session(files["encoder.onnx"].packed.file), session(files["step.onnx"].packed.file)
    source, target, mask = ids_of((3, 17), 29), ids_of((3, 13), 23), padded(3, 17)
    states, memory = remembered(encoder, source, mask)
    near(states[mask.numpy()], model.states(source, mask=mask)[mask])
    near(walked(step, model.config, target, memory, (1, 1, 5, 1, 2, 3)), model.logits(source, target, mask=mask))


def writer_agrees(model: Any) -> None:
    """A prompt, then steps of one and of several tokens."""
    step = session(MAKERS["decoder"](model, model.config)["step.onnx"].packed.file)
    ids = ids_of((2, 19), 23)
    near(walked(step, model.config, ids, {}, (7, 1, 1, 9, 1)), model.logits(ids))
