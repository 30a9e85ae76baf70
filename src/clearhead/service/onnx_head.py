"""What stands on an encoder's states, as ONNX operators: the pooling, and the map before a vocabulary's output matrix.

Padding counts for nothing; where there is nothing real, a pooled vector is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from clearhead.service.onnx_layers import LOWEST, Layers

Share = Callable[[Layers, str, str, nn.Module], str]


def pooled(layers: Layers, states: str, mask: str, model: nn.Module) -> str:
    """states (B, T, W) and mask (B, T) bool → (B, W)."""
    graph, kind, module = layers.graph, layers.config.pooling, model.get_submodule("pooling")
    share = graph.op("Unsqueeze", SHARES[kind](layers, states, mask, module), graph.integers(1))
    found = graph.op("Squeeze", graph.op("MatMul", share, states), graph.integers(1))
    if kind != "first_tanh":
        return found
    turned = graph.op("Tanh", layers.linear(found, module.get_submodule("dense")))
    number = graph.op("Cast", mask, attributes={"to": graph.onnx.TensorProto.FLOAT})
    return graph.op("Mul", turned, graph.op("ReduceMax", number, graph.integers(1)))


def of_mean(layers: Layers, states: str, mask: str, pooling: nn.Module) -> str:
    """As much of each real position as of any other, (B, T)."""
    graph = layers.graph
    real = graph.op("Cast", mask, attributes={"to": graph.onnx.TensorProto.FLOAT})
    return graph.op("Div", real, graph.op("Max", graph.op("ReduceSum", real, graph.integers(1)), graph.number(1.0)))


def of_first(layers: Layers, states: str, mask: str, pooling: nn.Module) -> str:
    """All of the first real position, (B, T)."""
    graph, types = layers.graph, layers.graph.onnx.TensorProto
    count = graph.op("CumSum", graph.op("Cast", mask, attributes={"to": types.INT64}), graph.integers(1))
    first = graph.op("And", mask, graph.op("Equal", count, graph.integers(1)))
    return graph.op("Cast", first, attributes={"to": types.FLOAT})


def of_attention(layers: Layers, states: str, mask: str, pooling: nn.Module) -> str:
    """By the softmax of u · tanh(W h + b), (B, T)."""
    graph = layers.graph
    seen = graph.op("Tanh", layers.linear(states, pooling.get_submodule("key")))
    scores = graph.op("Squeeze", layers.linear(seen, pooling.get_submodule("query")), graph.integers(-1))
    hidden = graph.op("Where", mask, scores, graph.number(LOWEST))
    return graph.op("Where", mask, graph.op("Softmax", hidden, attributes={"axis": -1}), graph.number(0.0))


SHARES: dict[str, Share] = {
    "mean": of_mean,
    "first": of_first,
    "first_tanh": of_first,
    "attention": of_attention,
}


def transformed(layers: Layers, states: str, transform: nn.Module) -> str:
    """states (B, T, W) as they are compared with a vocabulary's rows, (B, T, W)."""
    dense: Any = transform.get_submodule("dense")
    hidden = layers.activated(layers.linear(states, dense), layers.config.head.activation)
    return layers.norm(hidden, transform.get_submodule("norm"))
