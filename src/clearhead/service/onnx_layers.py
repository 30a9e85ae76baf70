"""The layers of a Transformer as ONNX operators, each reading the weights of the module it stands for.

    Attention(Q, K, V) = softmax(scale · Q Kᵀ + mask) V    (equation 1, arXiv 1706.03762)

A mask hides a score by the lowest float there is, and what it hides weighs exactly 0, in a row that sees nothing too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from clearhead.models.config import ModelConfig
from clearhead.service.onnx_graph import Graph

PLAIN = {"relu": "Relu", "reglu": "Relu"}
LOWEST = float(torch.finfo(torch.float32).min)


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
        """LayerNorm or RMSNorm over the last dimension."""
        found: Any = module
        epsilon = self.config.norm_epsilon
        if self.config.norm == "layer":
            inputs = (x, self.graph.weight(found.weight), self.graph.weight(found.bias))
            return self.graph.op("LayerNormalization", *inputs, attributes={"axis": -1, "epsilon": epsilon})
        square = self.graph.op("ReduceMean", self.graph.op("Mul", x, x), self.graph.integers(-1))
        root = self.graph.op("Sqrt", self.graph.op("Add", square, self.graph.number(epsilon)))
        return self.graph.op("Mul", self.graph.op("Div", x, root), self.graph.weight(found.weight))

    def embedded(self, ids: str, embedding: nn.Module, start: str | None = None) -> str:
        """ids (B, T) from place ``start`` (1,) on, the first when not given → (B, T, W)."""
        found: Any = embedding
        rows = self.graph.op("Gather", self.graph.weight(found.tokens.weight), ids)
        x = rows if found.scale == 1.0 else self.graph.op("Mul", rows, self.graph.number(found.scale))
        table = found.positions(0, found.limit)
        if isinstance(table, Tensor):
            first = start or self.graph.integers(0)
            last = self.graph.op("Add", first, self.size(ids, 1))
            places = self.graph.op("Slice", self.graph.weight(table.contiguous()), first, last, self.graph.integers(0))
            x = self.graph.op("Add", x, places)
        if found.segments is not None:
            x = self.graph.op("Add", x, self.graph.weight(found.segments.weight[0]))
        return x if found.norm is None else self.norm(x, found.norm)

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
            gate = self.activated(self.linear(x, packed, slice(0, half)))
            hidden = self.graph.op("Mul", gate, self.linear(x, packed, slice(half, None)))
        else:
            hidden = self.activated(self.linear(x, network.get_submodule("into")))
        return self.linear(hidden, network.get_submodule("out"))

    def activated(self, x: str) -> str:
        """The activation, of a gate where there is one."""
        kind = self.config.activation
        if kind in PLAIN:
            return self.graph.op(PLAIN[kind], x)
        if kind in ("silu", "swiglu"):
            return self.graph.op("Mul", x, self.graph.op("Sigmoid", x))
        return self.graph.op("Gelu", x, attributes={"approximate": "tanh" if kind.endswith("_tanh") else "none"})

    def heads(self, x: str) -> str:
        """(B, T, H·D) → (B, H, T, D)."""
        cut = self.graph.op("Reshape", x, self.graph.integers(0, 0, self.config.heads, -1))
        return self.graph.op("Transpose", cut, attributes={"perm": [0, 2, 1, 3]})

    def query_key_value(self, x: str, attention: nn.Module) -> list[str]:
        """The three projections of self-attention, cut into heads."""
        keys, values = self.config.heads * self.config.head_width, self.config.heads * self.config.value_head_width
        ends = [0, keys, 2 * keys, 2 * keys + values]
        packed = attention.get_submodule("query_key_value")
        return [self.heads(self.linear(x, packed, slice(*ends[place : place + 2]))) for place in range(3)]

    def key_value(self, states: str, attention: nn.Module) -> list[str]:
        """What cross-attention keeps of the source, cut into heads."""
        packed, keys = attention.get_submodule("key_value"), self.config.heads * self.config.head_width
        return [self.heads(self.linear(states, packed, rows)) for rows in (slice(0, keys), slice(keys, None))]

    def attend(self, query_key_value: list[str], visible: str, output: nn.Module) -> str:
        """q (B, H, T, D), k (B, H, S, D), v (B, H, S, M), ``visible`` bool that broadcasts to (B, H, T, S)."""
        q, k, v = query_key_value
        scale = 1.0 if self.config.score == "dot" else 1.0 / math.sqrt(self.config.head_width)
        scores = self.graph.op("MatMul", q, self.graph.op("Transpose", k, attributes={"perm": [0, 1, 3, 2]}))
        scores = self.graph.op("Mul", scores, self.graph.number(scale))
        scores = self.graph.op("Where", visible, scores, self.graph.number(LOWEST))
        weights = self.graph.op("Softmax", scores, attributes={"axis": -1})
        weights = self.graph.op("Where", visible, weights, self.graph.number(0.0))
        mixed = self.graph.op("Transpose", self.graph.op("MatMul", weights, v), attributes={"perm": [0, 2, 1, 3]})
        return self.linear(self.graph.op("Reshape", mixed, self.graph.integers(0, 0, -1)), output)

    def encoded(self, ids: str, mask: str, encoder: nn.Module) -> str:
        """ids (B, S) int64 and mask (B, S) bool → states (B, S, W)."""
        visible = self.graph.op("Unsqueeze", mask, self.graph.integers(1, 2))
        x = self.embedded(ids, encoder.get_submodule("embedding"))
        for number in range(self.config.encoder_layers):
            block = encoder.get_submodule(f"blocks.{number}")
            attention = block.get_submodule("self_attention")
            x = self.around(
                x,
                block.get_submodule("around_self"),
                lambda y, own=attention: self.attend(
                    self.query_key_value(y, own), visible, own.get_submodule("output")
                ),
            )
            x = self.around(
                x,
                block.get_submodule("around_feedforward"),
                lambda y, own=block: self.feedforward(y, own.get_submodule("feedforward")),
            )
        return self.norm(x, encoder.get_submodule("norm")) if self.config.ends_in_norm else x
