"""Where tokens stand, as ONNX operators: who may look at whom, and what positions do inside attention.

Queries i are the new tokens, keys j all of them, and d = j − i is asked everywhere:

    causal  d ≤ 0        window  |d| ≤ w        not oneself  d ≠ 0
    alibi   −slope_h · |d|     t5  a number a head for each d, far ones alike     rotary  angles i·θ of new q and k

No length is left in the graph: distances and angles are made where it runs, angles in float64 as the model makes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from clearhead.mechanism.positions import bucket, frequencies, slopes
from clearhead.models.config import ModelConfig
from clearhead.models.sight import Sight
from clearhead.service.onnx_graph import Graph

Effect = Callable[["Places", ModelConfig, nn.Module], "Relative"]


@dataclass(frozen=True, slots=True)
class Relative:
    """What positions do in one pass: ``angles``, the cosine and sine (T, D/2), or a ``bias`` (H, T, S), by name."""

    angles: tuple[str, str] | None = None
    bias: str | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """What every self-attention of a stack is told: ``visible``, broadcastable to (B, H, T, S), and ``relative``."""

    visible: str
    relative: Relative


@dataclass(frozen=True, slots=True)
class Places:
    """``new`` (T,) int64, the places of the queries, and ``distances`` (T, S) int64, j − i."""

    graph: Graph
    new: str
    distances: str

    @classmethod
    def among(cls, graph: Graph, count: str, past: str | None = None) -> Places:
        """``count`` (1,) new tokens behind ``past`` (1,) ones, none when not given; keys are both."""
        zero, one = graph.integers(0), graph.integers(1)
        end = count if past is None else graph.op("Add", past, count)
        nothing, first, last, step = (graph.op("Squeeze", each) for each in (zero, past or zero, end, one))
        new, every = graph.op("Range", first, last, step), graph.op("Range", nothing, last, step)
        distances = graph.op("Sub", graph.op("Unsqueeze", every, zero), graph.op("Unsqueeze", new, one))
        return cls(graph, new, distances)

    def visible(self, sight: Sight) -> list[str]:
        """What all have to allow, bool (T, S) each."""
        graph, found = self.graph, []
        if sight.causal:
            found.append(graph.op("LessOrEqual", self.distances, graph.integers(0)))
        if sight.window is not None:
            found.append(graph.op("LessOrEqual", graph.op("Abs", self.distances), graph.integers(sight.window)))
        if sight.without_self:
            found.append(graph.op("Not", graph.op("Equal", self.distances, graph.integers(0))))
        return found

    def told(self, config: ModelConfig, stack: nn.Module, *others: str) -> Pass:
        """For the self-attention of ``stack``; what ``others`` say besides has to allow it, too."""
        sight: Any = stack.sight
        whole, *rest = [*self.visible(sight), *others]
        for each in rest:
            whole = self.graph.op("And", whole, each)
        effect = EFFECTS.get(config.positions)
        return Pass(whole, Relative() if effect is None else effect(self, config, stack.get_submodule("positions")))


def rotary(places: Places, config: ModelConfig, positions: nn.Module) -> Relative:
    """Angles in float64, their cosine and sine in float32."""
    graph, types = places.graph, places.graph.onnx.TensorProto
    slowed: Any = positions.stretch
    turns = slowed(frequencies(config.head_width, torch.device("cpu"), config.rotary.base))
    counted = graph.op("Cast", graph.op("Unsqueeze", places.new, graph.integers(1)), attributes={"to": types.DOUBLE})
    angles = graph.op("Mul", counted, graph.constant(turns.numpy()))
    cosine, sine = (graph.op("Cast", graph.op(kind, angles), attributes={"to": types.FLOAT}) for kind in ("Cos", "Sin"))
    return Relative(angles=(cosine, sine))


def alibi(places: Places, config: ModelConfig, positions: nn.Module) -> Relative:
    """Distance by each head's slope."""
    graph = places.graph
    far = graph.op("Cast", graph.op("Abs", places.distances), attributes={"to": graph.onnx.TensorProto.FLOAT})
    return Relative(bias=graph.op("Mul", far, graph.constant(-slopes(config.heads)[:, None, None].numpy())))


def buckets(places: Places, config: ModelConfig, positions: nn.Module) -> Relative:
    """T5's numbers, looked up by distance: beyond ``reach`` on either side all share the last bucket."""
    graph = places.graph
    learnt: Any = positions.table
    causal: Any = positions.causal
    reach = 2 * config.buckets.farthest
    rows = bucket(torch.arange(-reach, reach + 1), causal, config.buckets.count, config.buckets.farthest)
    near = graph.op("Max", graph.op("Min", places.distances, graph.integers(reach)), graph.integers(-reach))
    row = graph.op("Add", near, graph.integers(reach))
    return Relative(bias=graph.op("Gather", graph.weight(learnt[rows].T.contiguous()), row, attributes={"axis": 1}))


EFFECTS: dict[str, Effect] = {"rotary": rotary, "alibi": alibi, "t5": buckets}
