"""The layers around attention as ONNX operators, each reading the weights of the module it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clearhead.models.config import ModelConfig
from clearhead.service.onnx_graph import Graph

LOWEST = float(torch.finfo(torch.float32).min)
PLAIN = {"relu": "Relu", "reglu": "Relu"}


@dataclass(frozen=True, slots=True)
class Layers:
    """Writes the layers of one model of sizes ``config`` into ``graph``."""

    graph: Graph
    config: ModelConfig

    def linear(self, x: str, module: nn.Module, rows: slice = slice(None)) -> str:
        """x (…, W) through the linear map, or through some rows of a packed one."""
        found: Any = module
        y = self.graph.op("MatMul", x, self.graph.weight(found.weight[rows], transposed=True))
        return y if found.bias is None else self.graph.op("Add", y, self.graph.weight(found.bias[rows]))

    def norm(self, x: str, module: nn.Module) -> str:
        """LayerNorm or RMSNorm over the last dimension, BatchNorm by its running statistics, or none."""
        found: Any = module
        epsilon = self.config.norm_epsilon
        if self.config.norm == "layer":
            inputs = (x, self.graph.weight(found.weight), self.graph.weight(found.bias))
            return self.graph.op("LayerNormalization", *inputs, attributes={"axis": -1, "epsilon": epsilon})
        if self.config.norm == "rms":
            return self.root_mean_square(x, found.weight, epsilon)
        if self.config.norm == "none":
            return x
        scale = found.weight * (found.running_var + epsilon).rsqrt()
        shift = found.bias - found.running_mean * scale
        return self.graph.op("Add", self.graph.op("Mul", x, self.graph.weight(scale)), self.graph.weight(shift))

    def root_mean_square(self, x: str, gain: Tensor, epsilon: float) -> str:
        """RMSNorm of the last dimension."""
        square = self.graph.op("ReduceMean", self.graph.op("Mul", x, x), self.graph.integers(-1))
        root = self.graph.op("Sqrt", self.graph.op("Add", square, self.graph.number(epsilon)))
        return self.graph.op("Mul", self.graph.op("Div", x, root), self.graph.weight(gain))

    def embedded(self, ids: str, embedding: nn.Module, start: str | None = None, places: str | None = None) -> str:
        """ids (B, T) from place ``start`` (1,) on, the first when not given, or at ``places`` (B, T) → (B, T, W)."""
        found: Any = embedding
        rows = self.graph.op("Gather", self.graph.weight(found.tokens.weight), ids)
        x = rows if found.scale == 1.0 else self.graph.op("Mul", rows, self.graph.number(found.scale))
        table = found.positions(0, found.limit)
        if isinstance(table, Tensor):
            x = self.graph.op("Add", x, self.positions(table, ids, start or self.graph.integers(0), places))
        if found.segments is not None:
            x = self.graph.op("Add", x, self.graph.weight(found.segments.weight[0]))
        return x if found.norm is None else self.norm(x, found.norm)

    def positions(self, table: Tensor, ids: str, first: str, places: str | None) -> str:
        """The rows of the table that belong to ids (B, T): (T, W), or (B, T, W) where their ``places`` are given."""
        rows = self.graph.weight(table.contiguous())
        if places is not None:
            return self.graph.op("Gather", rows, places)
        last = self.graph.op("Add", first, self.size(ids, 1))
        return self.graph.op("Slice", rows, first, last, self.graph.integers(0))

    def size(self, x: str, axis: int) -> str:
        """The length of one dimension, (1,)."""
        return self.graph.op("Shape", x, attributes={"start": axis, "end": axis + 1})

    def around(self, x: str, residual: nn.Module, sublayer: Any) -> str:
        """Add & Norm in this model's order; ``sublayer`` is a function of a value's name."""
        norm = residual.get_submodule("norm")
        if self.config.norm_order == "pre":
            return self.graph.op("Add", x, sublayer(self.norm(x, norm)))
        return self.norm(self.graph.op("Add", x, sublayer(x)), norm)

    def feedforward(self, x: str, network: nn.Module) -> str:
        """Plain, or gated by the first half of a packed projection."""
        if self.config.activation.endswith(("glu", "glu_tanh")):
            packed: Any = network.get_submodule("gate_into")
            half = packed.weight.shape[0] // 2
            gate = self.activated(self.linear(x, packed, slice(0, half)), self.config.activation)
            hidden = self.graph.op("Mul", gate, self.linear(x, packed, slice(half, None)))
        else:
            hidden = self.activated(self.linear(x, network.get_submodule("into")), self.config.activation)
        return self.linear(hidden, network.get_submodule("out"))

    def activated(self, x: str, kind: str) -> str:
        """Through the activation of this kind, which is its gate's where it has one."""
        if kind in PLAIN:
            return self.graph.op(PLAIN[kind], x)
        if kind in ("silu", "swiglu"):
            return self.graph.op("Mul", x, self.graph.op("Sigmoid", x))
        return self.graph.op("Gelu", x, attributes={"approximate": "tanh" if kind.endswith("_tanh") else "none"})
