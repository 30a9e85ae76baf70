"""Small models to be exported, their sizes different primes where they may be, and how ONNX files of them are run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.service.onnx_stacked import Stacked

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
    "initial_std": 0.3,
    "initialisation": "normal",
}
KINDS: dict[str, dict[str, Any]] = {
    "pre-norm": {},
    "post-norm": {"norm_order": "post", "positions": "learned", "activation": "gelu"},
    "a norm at the input": {"norm_order": "post", "input": {"norm": True, "scale": 1.0}, "activation": "gelu_tanh"},
    "RMS norms and gates": {"norm": "rms", "activation": "swiglu", "positions": "sinusoidal_halves"},
    "gates of GELU": {"activation": "geglu", "norm_epsilon": 1e-3},
    "no biases": {
        "biases": {"query_key_value": False, "attention_output": False, "feedforward": False, "output": True},
        "activation": "silu",
    },
}


def model_of(settings: dict[str, Any]) -> Any:
    """A model of these settings in which all numbers differ, those of norms and of buckets, too."""
    model = build_model(ModelConfig.model_validate(SIZES | settings), seed=5).eval()
    draw = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name, weight in [*model.named_parameters(), *model.named_buffers()]:
            if "norm" in name or (name.endswith("positions.table") and weight.requires_grad):
                weight += torch.randn(weight.shape, generator=draw) * 0.5
            if name.endswith("running_var"):
                weight.abs_()
    return model


def padded(rows: int, length: int) -> torch.Tensor:
    """Padding in front of the first text and behind the last."""
    mask = torch.ones(rows, length, dtype=torch.bool)
    mask[-1, 1 + length // 2 :] = False
    mask[0, : length // 3] = False
    return mask


def session(file: bytes | str) -> Any:
    """A runtime on one thread, over a file's bytes or its path."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])


def near(found: Any, wanted: torch.Tensor) -> None:
    """1e-4 of the largest number."""
    expected = wanted.detach().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=1e-4 * float(np.abs(expected).max()), rtol=0)


def ids_of(shape: tuple[int, int], size: int) -> torch.Tensor:
    """Random tokens, always the same for one shape."""
    return torch.randint(4, size, shape, generator=torch.Generator().manual_seed(shape[0] + 7 * shape[1]))


def caches(config: ModelConfig, rows: int) -> list[Any]:
    """Keys and values of no place yet."""
    room = (config.decoder_layers, rows, Stacked.of(config, "self").room, 0)
    return [np.zeros((*room, width), np.float32) for width in (config.head_width, config.value_head_width)]


def walked(step: Any, config: ModelConfig, ids: torch.Tensor, memory: dict[str, Any], pieces: Sequence[int]) -> Any:
    """Logits of all places, ``pieces`` new tokens at a time."""
    keys, values = caches(config, len(ids))
    found = []
    for part in ids.split(list(pieces), dim=1):
        given = {"ids": part.numpy(), "keys": keys, "values": values, **memory}
        logits, keys, values = step.run(["logits", "new_keys", "new_values"], given)
        found.append(logits)
    return np.concatenate(found, axis=1)


def remembered(encoder: Any, source: torch.Tensor, mask: torch.Tensor) -> tuple[Any, dict[str, Any]]:
    """States of the source, and what every step is given of it."""
    names = ["states", "cross_keys", "cross_values"]
    states, *cross = encoder.run(names, {"ids": source.numpy(), "mask": mask.numpy()})
    return states, {"cross_keys": cross[0], "cross_values": cross[1], "mask": mask.numpy()}


def greedy(
    step: Any, symbols: dict[str, Any], prompt: list[int], longest: int, memory: dict[str, Any] | None = None
) -> list[int]:
    """The likeliest tokens after ``prompt`` up to an end, ``longest`` at most, as onnx.json tells of ``symbols``."""
    shapes = {each.name: each.shape for each in step.get_inputs()}
    layers, _, heads, _, width = shapes["keys"]
    keys, values = (np.zeros((layers, 1, heads, 0, each), np.float32) for each in (width, shapes["values"][4]))
    fed, wrote, forced = prompt, [], symbols["forced"]
    while len(wrote) < longest and not (wrote and wrote[-1] in symbols["ends"]):
        given = {"ids": np.array([fed]), "keys": keys, "values": values, **(memory or {})}
        logits, keys, values = step.run(["logits", "new_keys", "new_values"], given)
        logits[..., symbols["never"]] = -np.inf
        fed = [forced[len(wrote)] if len(wrote) < len(forced) else int(logits[0, -1].argmax())]
        wrote += fed
    return wrote
