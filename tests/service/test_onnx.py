"""A model as ONNX files, run by onnxruntime: the same numbers for any batch and length, the same tokens by steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.models.config import ModelConfig
from clearhead.service import onnx_graph
from clearhead.service.export import export
from clearhead.service.load import load
from clearhead.service.onnx_model import MAKERS, check
from clearhead.service.prune import prune_run
from clearhead.text.tokenizer import END, START

from .exported import KINDS, SIZES, greedy, ids_of, model_of, near, padded, remembered, session, walked

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
    "norms over the batch": {"norm": "batch"},
    "no norms": {"norm": "none", "norm_order": "post", "initial_std": 0.1},
}
POOLINGS = ("none", "mean", "first", "first_tanh", "attention")


@pytest.mark.parametrize("kind", MORE.values(), ids=MORE)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_an_encoder_gives_the_same_logits(kind: dict[str, Any], pooling: str) -> None:
    segments = {"input": kind.get("input", {}) | {"segments": 2}, "classes": 5}
    model = model_of(kind | segments | {"architecture": "encoder", "pooling": pooling})
    running = session(MAKERS["encoder"](model, model.config)["model.onnx"].packed.file)
    for rows, length in ((1, 1), (3, 7), (2, 19)):
        ids, mask = ids_of((rows, length), 29), padded(rows, length)
        wanted = model.logits(ids, mask=mask)
        (found,) = running.run(["logits"], {"ids": ids.numpy(), "mask": mask.numpy()})
        shown = mask if pooling == "none" else torch.ones(rows, dtype=torch.bool)
        near(found[shown.numpy()], wanted[shown])


@pytest.mark.parametrize("pooling", POOLINGS[1:])
def test_one_token_pooled_is_itself_and_none_is_nothing(pooling: str) -> None:
    model = model_of({"architecture": "encoder", "pooling": pooling, "head": {"kind": "none"}})
    running = session(MAKERS["encoder"](model, model.config)["model.onnx"].packed.file)
    ids, mask = ids_of((2, 5), 29), torch.zeros(2, 5, dtype=torch.bool)
    mask[0, 1] = True
    (found,) = running.run(["pooled"], {"ids": ids.numpy(), "mask": mask.numpy()})
    near(found, model.hidden(ids, mask=mask))
    assert not found[1].any()


def test_places_over_real_tokens_and_a_score_for_every_word() -> None:
    """RoBERTa's positions, and the head of masked language modelling; padding on either side."""
    own = {"input": {"skip_padding": True, "first_position": 2, "norm": True}, "positions": "learned"}
    head = {"kind": "vocabulary", "activation": "silu"}
    for kind in (own | {"head": head, "tie": "target"}, {"input": {"skip_padding": True}, "head": head, "norm": "rms"}):
        model = model_of(kind | {"architecture": "encoder"})
        running = session(MAKERS["encoder"](model, model.config)["model.onnx"].packed.file)
        ids, mask = ids_of((3, 17), 29), padded(3, 17)
        (found,) = running.run(["logits"], {"ids": ids.numpy(), "mask": mask.numpy()})
        near(found[mask.numpy()], model.logits(ids, mask=mask)[mask])


@pytest.mark.parametrize("kind", MORE.values(), ids=MORE)
def test_steps_of_a_translator_give_what_teacher_forcing_gives(kind: dict[str, Any]) -> None:
    model = model_of(kind)
    files = MAKERS["encoder-decoder"](model, model.config)
    encoder, step = session(files["encoder.onnx"].packed.file), session(files["step.onnx"].packed.file)
    source, target = ids_of((3, 11), 29), ids_of((3, 6), 23)
    mask = torch.ones(source.shape, dtype=torch.bool)
    mask[1, 4:] = False
    wanted = model.logits(source, target, mask=mask)
    states, memory = remembered(encoder, source, mask)
    near(states[mask.numpy()], model.states(source, mask=mask)[mask])
    near(walked(step, model.config, target, memory, (1, 1, 3, 1)), wanted)


@pytest.mark.parametrize("kind", MORE.values(), ids=MORE)
def test_steps_of_a_language_model_after_a_prompt(kind: dict[str, Any]) -> None:
    model = model_of(kind | {"architecture": "decoder"})
    step = session(MAKERS["decoder"](model, model.config)["step.onnx"].packed.file)
    ids = ids_of((2, 9), 23)
    near(walked(step, model.config, ids, {}, (5, 1, 1, 2)), model.logits(ids))


def test_a_run_written_as_onnx_translates_as_it_does_here(finished: Path, tmp_path: Path) -> None:
    written = export(finished, "onnx", tmp_path / "out")
    assert set(written.files) == {
        "encoder.onnx", "step.onnx", "onnx.json", "tokenizer-source.json", "tokenizer-target.json"
    }  # fmt: skip
    told = json.loads((written.folder / "onnx.json").read_text(encoding="utf-8"))
    assert told["files"]["step.onnx"]["outputs"]["logits"] == {"type": "float", "shape": ["batch", "new", 14]}
    assert told["symbols"]["target"]["start"] == START and told["symbols"]["target"]["ends"] == [END]
    translates_alike(finished, written.folder, told["symbols"])


def test_a_pruned_run_translates_as_it_does_here(finished: Path, tmp_path: Path) -> None:
    prune_run(finished, {"decoder.0.self": [1], "decoder.1.cross": [0, 3], "encoder.0.self": [2]}, tmp_path / "run")
    written = export(tmp_path / "run", "onnx", tmp_path / "out")
    told = json.loads((written.folder / "onnx.json").read_text(encoding="utf-8"))
    translates_alike(tmp_path / "run", written.folder, told["symbols"])


def translates_alike(run: Path, folder: Path, symbols: dict[str, Any]) -> None:
    """Greedily, token by token, from the files in ``folder``."""
    encoder, step = (session((folder / name).read_bytes()) for name in ("encoder.onnx", "step.onnx"))
    ours = load(run, device="cpu")
    for text in ("1 2 3", "9", "4 0 4 1"):
        ids = torch.tensor([[*ours.task.source.encode([text])[0], END]])
        _, memory = remembered(encoder, ids, torch.ones(ids.shape, dtype=torch.bool))
        wrote = greedy(step, symbols["target"], [START], 16, memory)
        (answer,) = ours.predict([text], beam=1)
        assert ours.task.target.decode([wrote])[0] == str(answer)


def test_weights_that_do_not_fit_in_stand_beside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As above 2 GiB, where a protocol buffer ends; the same numbers to the last bit."""
    model = model_of({"architecture": "decoder", "tie": "all"})
    config, ids = model.config, ids_of((2, 9), 23)
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
        ({"architecture": "encoder", "input_width": 7}, "input_width must be None, but it is 7"),
        ({"architecture": "encoder", "ngram_buckets": 9}, "ngram_buckets must be 0, but it is 9"),
        ({"decoder_layers": 0}, "decoder_layers must be at least 1, but it is 0"),
        ({"body": "lstm"}, "body must be 'transformer', but it is 'lstm'"),
    ],
)
def test_what_is_not_written_is_refused_by_name(kind: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        check(ModelConfig.model_validate(SIZES | kind))
