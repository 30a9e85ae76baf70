"""A run as ONNX files: an encoder's whole way to its answer, a decoder's one step, beside the tokenizers they need.

    encoder only        model.onnx: ids, mask → states, and logits where there is a head
    decoder only        step.onnx: ids, keys, values → logits, new_keys, new_values
    encoder–decoder     encoder.onnx: ids, mask → states, cross_keys, cross_values
                        step.onnx: ids, keys, values, cross_keys, cross_values, mask → logits, new_keys, new_values

Every dimension of inputs may vary but layers, heads and widths. ``onnx.json`` says what goes in and comes out, and the
numbers of the special symbols. Weights above 2 GiB stand in a file of their own (``step.onnx.data``). What these files
cannot hold is refused by the setting's name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from clearhead.errors import ConfigurationError
from clearhead.models.config import ModelConfig
from clearhead.service.engines import refuse_family, refuse_others, tokenizer_files
from clearhead.service.load import load
from clearhead.service.onnx_attention import Attention
from clearhead.service.onnx_decoder import Memory, Step
from clearhead.service.onnx_encoder import encoded
from clearhead.service.onnx_graph import Graph, Packed, Size
from clearhead.service.onnx_head import pooled, transformed
from clearhead.service.onnx_layers import Layers
from clearhead.service.onnx_stacked import Stacked
from clearhead.service.published import Written
from clearhead.service.run_folder import RunFolder

Described = dict[str, tuple[str, tuple[Size, ...]]]  # by name: the kind of number, the dimensions
ONLY: dict[str, tuple[object, ...]] = {
    "body": ("transformer",),
    "score": ("scaled_dot", "dot"),
    "normalizer": ("softmax",),
    "input_width": (None,),
    "ngram_buckets": (0,),
}


@dataclass(frozen=True, slots=True)
class File:
    """One ONNX file, what goes in and what comes out."""

    packed: Packed
    inputs: Described
    outputs: Described


def onnx(run: RunFolder, family: str | None) -> Written:
    """The run as ONNX files.

    Raises:
        ConfigurationError: the model has a part that is not written as ONNX; the setting is named.
        MissingExtraError: the package onnx is not installed.
        RunError: the run is not finished, or damaged.
    """
    refuse_family(family, "onnx")
    config = run.card().model
    check(config)
    model = load(run.path, device="cpu").model
    made = MAKERS[config.architecture](model, config)
    files: dict[str, Sequence[bytes | memoryview]] = {name: [each.packed.file] for name, each in made.items()}
    files |= {f"{name}.data": each.packed.beside for name, each in made.items() if each.packed.beside}
    told = {name: {"inputs": _told(each.inputs), "outputs": _told(each.outputs)} for name, each in made.items()}
    files["onnx.json"] = [json.dumps({"files": told, "symbols": _symbols(run)}, indent=2).encode() + b"\n"]
    tokenizers, notes = tokenizer_files(run)
    return Written("ONNX", files | tokenizers, notes)


def check(config: ModelConfig) -> None:
    """Refuse what is not written as ONNX.

    Raises:
        ConfigurationError: the first setting that is in the way is named, with what is possible.
    """
    refuse_others(config, ONLY, "--to onnx")
    if config.architecture != "encoder" and not config.decoder_layers:
        raise ConfigurationError("--to onnx: decoder_layers must be at least 1, but it is 0")


def encoder_only(model: nn.Module, config: ModelConfig) -> dict[str, File]:
    """ids, mask → states (B, T, W), what pools them (B, W), and the logits of each token, or of the whole if pooled."""
    graph = Graph()
    layers = Layers(graph, config)
    read = graph.name(encoded(layers, "ids", "mask", model.get_submodule("encoder")), "states")
    room: tuple[Size, ...] = ("batch", "length")
    outputs: Described = {"states": ("float", (*room, config.width))}
    if config.pooling != "none":
        room = ("batch",)
        read = graph.name(pooled(layers, read, "mask", model), "pooled")
        outputs["pooled"] = ("float", (*room, config.width))
    if config.head.kind == "vocabulary":
        read = transformed(layers, read, model.get_submodule("transform"))
    if config.head.kind != "none":
        count = config.classes if config.head.kind == "classes" else config.source_vocabulary
        graph.name(layers.linear(read, model.get_submodule("output")), "logits")
        outputs["logits"] = ("float", (*room, count))
    return {"model.onnx": _file(graph, "model", _source("length"), outputs)}


def encoder_decoder(model: nn.Module, config: ModelConfig) -> dict[str, File]:
    """The encoder with the keys and values of every layer's cross-attention, and the decoder's step."""
    graph = Graph()
    layers = Layers(graph, config)
    states = encoded(layers, "ids", "mask", model.get_submodule("encoder"))
    attentions = [f"decoder.blocks.{number}.cross_attention" for number in range(config.decoder_layers)]
    kept = [Attention(layers, model.get_submodule(name)).key_value(states) for name in attentions]
    for name, of_layers in zip(("cross_keys", "cross_values"), zip(*kept, strict=True), strict=True):
        graph.name(Stacked.of(config, "cross").join(graph, of_layers), name)
    graph.name(states, "states")
    outputs: Described = {"states": ("float", ("batch", "source", config.width)), **_caches(config, "cross", "source")}
    encoder = _file(graph, "encoder", _source("source"), outputs)
    return {"encoder.onnx": encoder, "step.onnx": step(model, config, crossing=True)}


def decoder_only(model: nn.Module, config: ModelConfig) -> dict[str, File]:
    """A language model's step; a prompt is a step of several tokens."""
    return {"step.onnx": step(model, config, crossing=False)}


def step(model: nn.Module, config: ModelConfig, *, crossing: bool) -> File:
    """One step of the decoder, over a source or not."""
    graph = Graph()
    layers = Layers(graph, config)
    cross = ("cross_keys", "cross_values", "mask") if crossing else None
    states = Step(layers, model.get_submodule("decoder")).stream("ids", Memory("keys", "values", cross, [], []))
    if config.head.scale != 1.0:
        states = graph.op("Mul", states, graph.number(config.head.scale))
    graph.name(layers.linear(states, model.get_submodule("output")), "logits")
    inputs: Described = {"ids": ("int64", ("batch", "new")), **_caches(config, "self", "past")}
    if crossing:
        inputs |= {**_caches(config, "cross", "source"), "mask": ("bool", ("batch", "source"))}
    outputs: Described = {"logits": ("float", ("batch", "new", config.target_vocabulary))}
    return _file(graph, "step", inputs, outputs | _caches(config, "self", "all", "new_"))


MAKERS = {"encoder": encoder_only, "decoder": decoder_only, "encoder-decoder": encoder_decoder}


def _source(length: str) -> Described:
    return {"ids": ("int64", ("batch", length)), "mask": ("bool", ("batch", length))}


def _caches(config: ModelConfig, kind: str, length: str, prefix: str = "") -> Described:
    widths = {"keys": config.head_width, "values": config.value_head_width}
    room = (config.decoder_layers, "batch", Stacked.of(config, kind).room, length)
    prefix = "cross_" if kind == "cross" else prefix
    return {f"{prefix}{name}": ("float", (*room, width)) for name, width in widths.items()}


def _file(graph: Graph, name: str, inputs: Described, outputs: Described) -> File:
    ends = [[graph.value(each, kind, shape) for each, (kind, shape) in side.items()] for side in (inputs, outputs)]
    return File(graph.packed(name, *ends), inputs, outputs)


def _told(side: Described) -> dict[str, Any]:
    return {name: {"type": kind, "shape": list(shape)} for name, (kind, shape) in side.items()}


def _symbols(run: RunFolder) -> dict[str, Any]:
    """The numbers of the special symbols of what is read and of what is written, where tokenizers say so."""
    names = [path.stem for path in (run.path / "tokenizer").glob("*.json")]
    if not {"shared", "source"} & set(names):
        return {}
    sides = zip(("source", "target"), run.tokenizers(), strict=True)
    return {side: tokenizer.symbols.model_dump(mode="json") for side, tokenizer in sides}
