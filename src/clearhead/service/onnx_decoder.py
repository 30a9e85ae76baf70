"""One step of a decoder as ONNX operators: some new tokens and what it remembers in, logits and memory out.

The caches are tensors (layers, B, H, P, D) of the P places so far, 0 at the start. Keys and values of the source, which
the encoder's file makes once a sentence, are handed in unchanged at every step.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from clearhead.service.onnx_layers import Layers


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
        """ids (B, T) int64, the new tokens → states (B, T, W); the grown caches stand in ``memory``."""
        graph = self.layers.graph
        past = self.layers.size(memory.keys, 3)
        x = self.layers.embedded(ids, self.decoder.get_submodule("embedding"), past)
        visible = self.before(past, self.layers.size(ids, 1))
        for number in range(self.layers.config.decoder_layers):
            x = self.block(x, number, visible, memory)
        x = self.layers.norm(x, self.decoder.get_submodule("norm")) if self.layers.config.ends_in_norm else x
        for name, new in (("keys", memory.new_keys), ("values", memory.new_values)):
            graph.name(graph.op("Concat", *new, attributes={"axis": 0}), f"new_{name}")
        return x

    def before(self, past: str, count: str) -> str:
        """Which of all places each new one may look at: itself and those before it, (T, P + T)."""
        graph, zero, one = self.layers.graph, self.layers.graph.integers(0), self.layers.graph.integers(1)
        start, end, step, first = (
            graph.op("Squeeze", each) for each in (past, graph.op("Add", past, count), one, zero)
        )
        rows = graph.op("Unsqueeze", graph.op("Range", start, end, step), one)
        columns = graph.op("Unsqueeze", graph.op("Range", first, end, step), zero)
        return graph.op("GreaterOrEqual", rows, columns)

    def block(self, x: str, number: int, visible: str, memory: Memory) -> str:
        """Self-attention over caches and new tokens, cross-attention where there is a source, feed-forward."""
        block = self.decoder.get_submodule(f"blocks.{number}")
        layers = self.layers
        x = layers.around(
            x, block.get_submodule("around_self"), lambda y: self.itself(y, number, block, visible, memory)
        )
        if memory.cross is not None:
            x = layers.around(x, block.get_submodule("around_cross"), lambda y: self.source(y, number, block, memory))
        return layers.around(
            x,
            block.get_submodule("around_feedforward"),
            lambda y: layers.feedforward(y, block.get_submodule("feedforward")),
        )

    def itself(self, y: str, number: int, block: nn.Module, visible: str, memory: Memory) -> str:
        """Self-attention; the new keys and values join those of this layer."""
        graph, attention = self.layers.graph, block.get_submodule("self_attention")
        q, k, v = self.layers.query_key_value(y, attention)
        whole = []
        for cache, new, kept in ((memory.keys, k, memory.new_keys), (memory.values, v, memory.new_values)):
            joined = graph.op("Concat", self.of_layer(cache, number), new, attributes={"axis": 2})
            kept.append(graph.op("Unsqueeze", joined, graph.integers(0)))
            whole.append(joined)
        return self.layers.attend([q, *whole], visible, attention.get_submodule("output"))

    def source(self, y: str, number: int, block: nn.Module, memory: Memory) -> str:
        """Cross-attention to the keys and values of the source."""
        assert memory.cross is not None
        keys, values, mask = memory.cross
        attention = block.get_submodule("cross_attention")
        q = self.layers.heads(self.layers.linear(y, attention.get_submodule("query")))
        visible = self.layers.graph.op("Unsqueeze", mask, self.layers.graph.integers(1, 2))
        seen = [q, self.of_layer(keys, number), self.of_layer(values, number)]
        return self.layers.attend(seen, visible, attention.get_submodule("output"))

    def of_layer(self, stacked: str, number: int) -> str:
        """One layer's part of what is stacked, (B, H, P, D)."""
        graph = self.layers.graph
        return graph.op("Squeeze", graph.op("Gather", stacked, graph.integers(number)), graph.integers(0))
