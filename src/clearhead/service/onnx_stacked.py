"""Keys or values of all layers in one tensor (layers, B, G, P, ·), as they go into and out of a file.

Pruned layers may have fewer key/value heads than others: G is the largest number, and what a layer lacks is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clearhead.models.config import ModelConfig
from clearhead.models.pruning import heads_left
from clearhead.service.onnx_graph import Graph


@dataclass(frozen=True, slots=True)
class Stacked:
    """``groups``: the key/value heads of each layer."""

    groups: tuple[int, ...]

    @classmethod
    def of(cls, config: ModelConfig, kind: str) -> Stacked:
        """Of the decoder's attentions, "self" or "cross"."""
        return cls(tuple(heads_left(config, f"decoder.{n}.{kind}")[1] for n in range(config.decoder_layers)))

    @property
    def room(self) -> int:
        """G, the heads there is room for."""
        return max(self.groups)

    def layer(self, graph: Graph, stacked: str, number: int) -> str:
        """One layer's part, (B, its own G, P, ·)."""
        part = graph.op("Squeeze", graph.op("Gather", stacked, graph.integers(number)), graph.integers(0))
        if self.groups[number] == self.room:
            return part
        return graph.op("Slice", part, graph.integers(0), graph.integers(self.groups[number]), graph.integers(1))

    def join(self, graph: Graph, layers: Sequence[str]) -> str:
        """The whole of what layers have, in their order."""
        alike = []
        for part, groups in zip(layers, self.groups, strict=True):
            if groups < self.room:
                part = graph.op("Pad", part, graph.integers(0, self.room - groups), "", graph.integers(1))
            alike.append(graph.op("Unsqueeze", part, graph.integers(0)))
        return graph.op("Concat", *alike, attributes={"axis": 0})
