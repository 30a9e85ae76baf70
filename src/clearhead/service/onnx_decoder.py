"""One step of a decoder as ONNX operators: some new tokens and what it remembers in, logits and memory out.

The caches are tensors (layers, B, G, P, D) of the P places so far, 0 at the start. Keys and values of the source, which
the encoder's file makes once a sentence, are handed in unchanged at every step.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from clearhead.service.onnx_attention import Attention
from clearhead.service.onnx_layers import Layers
from clearhead.service.onnx_places import Pass, Places, Relative
from clearhead.service.onnx_stacked import Stacked


@dataclass(slots=True)
class Memory:
    """Names of caches and of the source's keys and values, and what is appended for the next step."""

    keys: str
    values: str
    cross: tuple[str, str, str] | None
    new_keys: list[str]
    new_values: list[str]


@dataclass(frozen=True, slots=True)
class Step:
    """The decoder ``decoder`` of a model whose layers ``layers`` writes."""

    layers: Layers
    decoder: nn.Module

    def stream(self, ids: str, memory: Memory) -> str:
        """ids (B, T) int64, the new tokens → states (B, T, W); the grown caches leave the graph by their names."""
        graph, config = self.layers.graph, self.layers.config
        past = self.layers.size(memory.keys, 3)
        x = self.layers.embedded(ids, self.decoder.get_submodule("embedding"), past)
        told = Places.among(graph, self.layers.size(ids, 1), past).told(config, self.decoder)
        for number in range(config.decoder_layers):
            x = self.block(x, number, told, memory)
        x = self.layers.norm(x, self.decoder.get_submodule("norm")) if config.ends_in_norm else x
        for name, new in (("new_keys", memory.new_keys), ("new_values", memory.new_values)):
            graph.name(Stacked.of(config, "self").join(graph, new), name)
        return x

    def block(self, x: str, number: int, told: Pass, memory: Memory) -> str:
        """Self-attention over caches and new tokens, cross-attention where there is a source, feed-forward."""
        block, layers = self.decoder.get_submodule(f"blocks.{number}"), self.layers
        x = layers.around(x, block.get_submodule("around_self"), lambda y: self.itself(y, number, told, memory))
        if memory.cross is not None:
            cross = memory.cross
            x = layers.around(x, block.get_submodule("around_cross"), lambda y: self.source(y, number, cross))
        network = block.get_submodule("feedforward")
        return layers.around(x, block.get_submodule("around_feedforward"), lambda y: layers.feedforward(y, network))

    def attention(self, number: int, kind: str) -> Attention:
        """Of one layer, "self" or "cross"."""
        return Attention(self.layers, self.decoder.get_submodule(f"blocks.{number}.{kind}_attention"))

    def itself(self, y: str, number: int, told: Pass, memory: Memory) -> str:
        """Self-attention; the new keys and values join those of this layer."""
        graph, attention = self.layers.graph, self.attention(number, "self")
        stacked = Stacked.of(self.layers.config, "self")
        q, k, v = attention.query_key_value(y, told.relative)
        whole = []
        for cache, new, kept in ((memory.keys, k, memory.new_keys), (memory.values, v, memory.new_values)):
            joined = graph.op("Concat", stacked.layer(graph, cache, number), new, attributes={"axis": 2})
            kept.append(joined)
            whole.append(joined)
        return attention.attend([q, *whole], told)

    def source(self, y: str, number: int, cross: tuple[str, str, str]) -> str:
        """Cross-attention to the keys and values of the source."""
        graph, attention = self.layers.graph, self.attention(number, "cross")
        stacked = Stacked.of(self.layers.config, "cross")
        *kept, mask = cross
        visible = graph.op("Unsqueeze", mask, graph.integers(1, 2))
        seen = [attention.query(y), *(stacked.layer(graph, each, number) for each in kept)]
        return attention.attend(seen, Pass(visible, Relative()))
