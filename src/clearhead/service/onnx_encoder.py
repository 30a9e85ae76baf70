"""An encoder as ONNX operators: the whole of a padded batch at once."""

from __future__ import annotations

from torch import nn

from clearhead.service.onnx_attention import Attention
from clearhead.service.onnx_graph import Graph
from clearhead.service.onnx_layers import Layers
from clearhead.service.onnx_places import Pass, Places


def encoded(layers: Layers, ids: str, mask: str, encoder: nn.Module) -> str:
    """ids (B, S) int64 and mask (B, S) bool → states (B, S, W)."""
    graph, config = layers.graph, layers.config
    real = graph.op("Unsqueeze", mask, graph.integers(1, 2))
    places = _counted(graph, mask) if config.input.skip_padding else None
    x = layers.embedded(ids, encoder.get_submodule("embedding"), places=places)
    told = Places.among(graph, layers.size(ids, 1)).told(config, encoder, real)
    for number in range(config.encoder_layers):
        x = _block(layers, x, told, encoder.get_submodule(f"blocks.{number}"))
    return layers.norm(x, encoder.get_submodule("norm")) if config.ends_in_norm else x


def _counted(graph: Graph, mask: str) -> str:
    """Where each position stands when only the real ones count, (B, S) int64."""
    number = graph.op("Cast", mask, attributes={"to": graph.onnx.TensorProto.INT64})
    before = graph.op("Sub", graph.op("CumSum", number, graph.integers(1)), graph.integers(1))
    return graph.op("Max", before, graph.integers(0))


def _block(layers: Layers, x: str, told: Pass, block: nn.Module) -> str:
    attention, network = Attention(layers, block.get_submodule("self_attention")), block.get_submodule("feedforward")
    x = layers.around(
        x,
        block.get_submodule("around_self"),
        lambda y: attention.attend(attention.query_key_value(y, told.relative), told),
    )
    return layers.around(x, block.get_submodule("around_feedforward"), lambda y: layers.feedforward(y, network))
