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
from clearhead.service import onnx_graph
from clearhead.service.export import export
from clearhead.service.load import load
from clearhead.service.onnx_model import MAKERS, check
from clearhead.text.tokenizer import END, START

from .exported import KINDS, SIZES, ids_of, near, remembered, session, walked

pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
MORE: dict[str, dict[str, Any]] = KINDS | {
    "learned positions after two rows that are nobody's": {
        "norm_order": "post",
        "input": {"norm": True, "scale": 1.0, "first_position": 2},
        "positions": "learned",
    },
    "no biases, no positions": KINDS["no biases"] | {"positions": "none"},
    "unscaled scores, values wider than keys": {"score": "dot", "key_width": 5, "value_width": 9},
}


@pytest.mark.parametrize("kind", MORE.values(), ids=MORE)
@pytest.mark.parametrize("pooling", ["none", "mean", "first"])
def test_an_encoder_gives_the_same_logits(kind: dict[str, Any], pooling: str) -> None:
    segments = {"input": kind.get("input", {}) | {"segments": 2}, "classes": 5}
    config = ModelConfig.model_validate(SIZES | kind | segments | {"architecture": "encoder", "pooling": pooling})
    model = build_model(config, seed=3).eval()
    running = session(MAKERS["encoder"](model, config)["model.onnx"].packed.file)
    for rows, length in ((1, 1), (3, 7), (2, 19)):
        ids = ids_of((rows, length), 29)
        mask = torch.ones(rows, length, dtype=torch.bool)
        mask[-1, 1 + length // 2 :] = False
        mask[0, : length // 3] = False
        wanted = model.logits(ids, mask=mask)
        (found,) = running.run(["logits"], {"ids": ids.numpy(), "mask": mask.numpy()})
        shown = mask if pooling == "none" else torch.ones(rows, dtype=torch.bool)
        near(found[shown.numpy()], wanted[shown])


@pytest.mark.parametrize("kind", MORE.values(), ids=MORE)
def test_steps_of_a_translator_give_what_teacher_forcing_gives(kind: dict[str, Any]) -> None:
    config = ModelConfig.model_validate(SIZES | kind)
    model = build_model(config, seed=3).eval()
    files = MAKERS["encoder-decoder"](model, config)
    encoder, step = session(files["encoder.onnx"].packed.file), session(files["step.onnx"].packed.file)
    source, target = ids_of((3, 11), 29), ids_of((3, 6), 23)
    mask = torch.ones(source.shape, dtype=torch.bool)
    mask[1, 4:] = False
    wanted = model.logits(source, target, mask=mask)
    states, memory = remembered(encoder, source, mask)
    near(states[mask.numpy()], model.states(source, mask=mask)[mask])
    near(walked(step, config, target, memory, (1, 1, 3, 1)), wanted)


@pytest.mark.parametrize("kind", MORE.values(), ids=MORE)
def test_steps_of_a_language_model_after_a_prompt(kind: dict[str, Any]) -> None:
    config = ModelConfig.model_validate(SIZES | kind | {"architecture": "decoder"})
    model = build_model(config, seed=3).eval()
    step = session(MAKERS["decoder"](model, config)["step.onnx"].packed.file)
    ids = ids_of((2, 9), 23)
    near(walked(step, config, ids, {}, (5, 1, 1, 2)), model.logits(ids))


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
        ids = torch.tensor([[*ours.task.source.encode([text])[0], END]])
        _, memory = remembered(encoder, ids, torch.ones(ids.shape, dtype=torch.bool))
        keys, values = (np.zeros((2, 1, 4, 0, 8), np.float32) for _ in range(2))
        wrote = [START]
        while wrote[-1] != END and len(wrote) < 16:
            given = {"ids": np.array([wrote[-1:]]), "keys": keys, "values": values, **memory}
            logits, keys, values = step.run(["logits", "new_keys", "new_values"], given)
            wrote.append(int(logits[0, -1].argmax()))
        (answer,) = ours.predict([text], beam=1)
        assert ours.task.target.decode([wrote])[0] == str(answer)


def test_weights_that_do_not_fit_in_stand_beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As above 2 GiB, where a protocol buffer ends; the same numbers to the last bit."""
    config = ModelConfig.model_validate(SIZES | {"architecture": "decoder", "tie": "all"})
    model = build_model(config, seed=3).eval()
    ids = ids_of((2, 9), 23)
    whole = MAKERS["decoder"](model, config)["step.onnx"].packed
    monkeypatch.setattr(onnx_graph, "LARGEST", 5000)
    parted = MAKERS["decoder"](model, config)["step.onnx"].packed
    assert not whole.beside and len(parted.file) < len(whole.file) / 2
    (tmp_path / "step.onnx").write_bytes(parted.file)
    (tmp_path / "step.onnx.data").write_bytes(b"".join(parted.beside))
    onnx.checker.check_model(str(tmp_path / "step.onnx"), full_check=True)
    both = [walked(session(file), config, ids, {}, (5, 4)) for file in (whole.file, str(tmp_path / "step.onnx"))]
    near(both[0], model.logits(ids))
    assert np.array_equal(*both)


def test_the_files_of_weights_are_part_of_an_export(
    finished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(onnx_graph, "LARGEST", 5000)
    written = export(finished, "onnx", tmp_path / "out")
    assert {"encoder.onnx.data", "step.onnx.data"} <= set(written.files)
    for name in ("encoder.onnx", "step.onnx"):
        assert session(str(written.folder / name)).get_inputs()[0].name == "ids"


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ({"score": "additive"}, "score must be 'scaled_dot', 'dot', but it is 'additive'"),
        ({"normalizer": "sparsemax"}, "normalizer must be 'softmax', but it is 'sparsemax'"),
        ({"norm": "batch"}, "norm must be 'layer', 'rms', but it is 'batch'"),
        ({"decoder_layers": 0}, "decoder_layers must be at least 1, but it is 0"),
        ({"body": "lstm"}, "body must be 'transformer', but it is 'lstm'"),
    ],
)
def test_what_is_not_written_is_refused_by_name(kind: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check(ModelConfig.model_validate(SIZES | kind))
