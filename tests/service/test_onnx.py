"""A model as ONNX files, run by onnxruntime: the same numbers for any batch and length, the same tokens by steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.service.export import export
from clearhead.service.load import load
from clearhead.service.onnx_model import MAKERS, check
from clearhead.text.tokenizer import END, START

onnxruntime = pytest.importorskip("onnxruntime")
SIZES: dict[str, Any] = {
    "width": 24,
    "heads": 3,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "feedforward": 40,
    "source_vocabulary": 29,
    "target_vocabulary": 23,
    "max_positions": 19,
    "tie": "none",
    "classes": 5,
    "initial_std": 0.3,
    "initialisation": "normal",
}
KINDS: dict[str, dict[str, Any]] = {
    "pre-norm": {},
    "post-norm": {"norm_order": "post", "positions": "learned", "activation": "gelu"},
    "a norm at the input": {
        "norm_order": "post",
        "input": {"norm": True, "scale": 1.0, "first_position": 2},
        "activation": "gelu_tanh",
        "positions": "learned",
    },
    "RMS norms and gates": {"norm": "rms", "activation": "swiglu", "positions": "sinusoidal_halves"},
    "no biases, no positions": {
        "biases": {"query_key_value": False, "attention_output": False, "feedforward": False, "output": True},
        "activation": "silu",
        "positions": "none",
    },
    "unscaled scores, values wider than keys": {
        "score": "dot",
        "key_width": 5,
        "value_width": 9,
        "activation": "geglu",
    },
}


def session(file: bytes) -> Any:
    """A runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def near(found: Any, wanted: torch.Tensor) -> None:
    """1e-4 of the largest number."""
    expected = wanted.detach().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()), rtol=0)


def ids_of(shape: tuple[int, int], size: int) -> torch.Tensor:
    return torch.randint(4, size, shape, generator=torch.Generator().manual_seed(shape[0] + 7 * shape[1]))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("pooling", ["none", "mean", "first"])
def test_an_encoder_gives_the_same_logits(kind: dict[str, Any], pooling: str) -> None:
    segments = {"input": kind.get("input", {}) | {"segments": 2}}
    config = ModelConfig.model_validate(SIZES | kind | segments | {"architecture": "encoder", "pooling": pooling})
    model = build_model(config, seed=3).eval()
    running = session(MAKERS["encoder"](model, config)["model.onnx"][0])
    for rows, length in ((1, 1), (3, 7), (2, 19)):
        ids = ids_of((rows, length), 29)
        mask = torch.ones(rows, length, dtype=torch.bool)
        mask[-1, 1 + length // 2 :] = False
        mask[0, : length // 3] = False
        wanted = model.logits(ids, mask=mask)
        (found,) = running.run(["logits"], {"ids": ids.numpy(), "mask": mask.numpy()})
        shown = mask if pooling == "none" else torch.ones(rows, dtype=torch.bool)
        near(found[shown.numpy()], wanted[shown])


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_steps_of_a_translator_give_what_teacher_forcing_gives(kind: dict[str, Any]) -> None:
    config = ModelConfig.model_validate(SIZES | kind)
    model = build_model(config, seed=3).eval()
    files = MAKERS["encoder-decoder"](model, config)
    encoder, step = session(files["encoder.onnx"][0]), session(files["step.onnx"][0])
    source, target = ids_of((3, 11), 29), ids_of((3, 6), 23)
    mask = torch.ones(source.shape, dtype=torch.bool)
    mask[1, 4:] = False
    wanted = model.logits(source, target, mask=mask)
    names = ["states", "cross_keys", "cross_values"]
    states, *cross = encoder.run(names, {"ids": source.numpy(), "mask": mask.numpy()})
    near(states[mask.numpy()], model.states(source, mask=mask)[mask])
    memory = {"cross_keys": cross[0], "cross_values": cross[1], "mask": mask.numpy()}
    near(walked(step, config, target, memory, (1, 1, 3, 1)), wanted)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_steps_of_a_language_model_after_a_prompt(kind: dict[str, Any]) -> None:
    config = ModelConfig.model_validate(SIZES | kind | {"architecture": "decoder"})
    model = build_model(config, seed=3).eval()
    step = session(MAKERS["decoder"](model, config)["step.onnx"][0])
    ids = ids_of((2, 9), 23)
    near(walked(step, config, ids, {}, (5, 1, 1, 2)), model.logits(ids))


def walked(step: Any, config: ModelConfig, ids: torch.Tensor, memory: dict[str, Any], pieces: tuple[int, ...]) -> Any:
    """Logits of all places, ``pieces`` new tokens at a time."""
    room = (config.decoder_layers, len(ids), config.heads, 0)
    keys, values = (np.zeros((*room, width), np.float32) for width in (config.head_width, config.value_head_width))
    found = []
    for part in ids.split(list(pieces), dim=1):
        given = {"ids": part.numpy(), "keys": keys, "values": values, **memory}
        logits, keys, values = step.run(["logits", "new_keys", "new_values"], given)
        found.append(logits)
    return np.concatenate(found, axis=1)


def test_a_run_written_as_onnx_translates_as_it_does_here(finished: Path, tmp_path: Path) -> None:
    written = export(finished, "onnx", tmp_path / "out")
    assert set(written.files) == {
        "encoder.onnx", "step.onnx", "onnx.json", "tokenizer-source.json", "tokenizer-target.json"
    }  # fmt: skip
    told = json.loads((written.folder / "onnx.json").read_text(encoding="utf-8"))
    assert told["files"]["step.onnx"]["outputs"]["logits"] == {"type": "float", "shape": ["batch", "new", 14]}
    assert told["symbols"]["target"]["start"] == START and told["symbols"]["target"]["ends"] == [END]
    encoder, step = (session((written.folder / name).read_bytes()) for name in ("encoder.onnx", "step.onnx"))
    ours = load(finished, device="cpu")
    for text in ("1 2 3", "9", "4 0 4 1"):
        ids = np.array([[*ours.task.source.encode([text])[0], END]])
        mask = np.ones(ids.shape, bool)
        cross = encoder.run(["cross_keys", "cross_values"], {"ids": ids, "mask": mask})
        memory = {"cross_keys": cross[0], "cross_values": cross[1], "mask": mask}
        keys, values = (np.zeros((2, 1, 4, 0, 8), np.float32) for _ in range(2))
        wrote = [START]
        while wrote[-1] != END and len(wrote) < 16:
            given = {"ids": np.array([wrote[-1:]]), "keys": keys, "values": values, **memory}
            logits, keys, values = step.run(["logits", "new_keys", "new_values"], given)
            wrote.append(int(logits[0, -1].argmax()))
        (answer,) = ours.predict([text], beam=1)
        assert ours.task.target.decode([wrote])[0] == str(answer)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ({"positions": "rotary", "key_width": 8}, "positions must be .* but it is 'rotary'"),
        ({"normalizer": "sparsemax"}, "normalizer must be 'softmax', but it is 'sparsemax'"),
        ({"key_value_heads": 1}, "key_value_heads must be 3 here, but it is 1"),
        ({"body": "lstm"}, "body must be 'transformer', but it is 'lstm'"),
    ],
)
def test_what_is_not_written_is_refused_by_name(kind: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check(ModelConfig.model_validate(SIZES | kind))
