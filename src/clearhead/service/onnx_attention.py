"""Multi-head attention as ONNX operators, with the heads an attention has left.

    Attention(Q, K, V) = softmax(scale · Q Kᵀ + bias + mask) V    (equation 1, arXiv 1706.03762)

A mask hides a score by the lowest float there is, and what it hides weighs exactly 0, in a row that sees nothing too.
Key/value heads that several query heads share are never written out: the queries of a group stand one below another
(arXiv 2305.13245). Where pruning left groups of unequal size, keys and values are repeated, one a query head.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from clearhead.mechanism.left import Left
from clearhead.mechanism.multihead import HeadSizes
from clearhead.service.onnx_layers import LOWEST, Layers
from clearhead.service.onnx_places import Pass, Relative


@dataclass(frozen=True, slots=True)
class Attention:
    """Writes one attention, ``module``, of a model whose layers ``layers`` writes."""

    layers: Layers
    module: nn.Module

    @property
    def sizes(self) -> HeadSizes:
        """How many heads are here, and how wide."""
        sizes: HeadSizes = self.module.sizes  # type: ignore[assignment]
        return sizes

    @property
    def left(self) -> Left:
        """Which heads are here, and which keys and values each reads."""
        left: Left | None = self.module.left  # type: ignore[assignment]
        return left or Left.whole(self.sizes.heads, self.sizes.groups)

    def heads(self, x: str, count: int) -> str:
        """(B, T, H·D) → (B, H, T, D)."""
        graph = self.layers.graph
        cut = graph.op("Reshape", x, graph.integers(0, 0, count, -1))
        return graph.op("Transpose", cut, attributes={"perm": [0, 2, 1, 3]})

    def query_key_value(self, x: str, relative: Relative) -> list[str]:
        """The three projections of self-attention (B, H, T, D), (B, G, T, D), (B, G, T, M), normed and turned."""
        q, k, v = self._cut(x, "query_key_value", (self.sizes.heads, self.sizes.groups, self.sizes.groups))
        if self.module.query_norm is not None:
            q, k = self._normed(q, "query_norm"), self._normed(k, "key_norm")
        if relative.angles is not None:
            q, k = (self._turned(each, *relative.angles) for each in (q, k))
        return [q, k, v]

    def query(self, x: str) -> str:
        """The queries of cross-attention, (B, H, T, D)."""
        return self.heads(self.layers.linear(x, self.module.get_submodule("query")), self.sizes.heads)

    def key_value(self, states: str) -> list[str]:
        """What cross-attention keeps of the source, (B, G, S, D) and (B, G, S, M)."""
        return self._cut(states, "key_value", (self.sizes.groups, self.sizes.groups))

    def _cut(self, x: str, name: str, heads: Sequence[int]) -> list[str]:
        packed, sizes = self.module.get_submodule(name), self.sizes.projected[-len(heads) :]
        ends = [sum(sizes[:place]) for place in range(len(sizes) + 1)]
        parts = (slice(*ends[place : place + 2]) for place in range(len(sizes)))
        return [self.heads(self.layers.linear(x, packed, rows), n) for rows, n in zip(parts, heads, strict=True)]

    def _normed(self, x: str, name: str) -> str:
        norm = self.module.get_submodule(name)
        return self.layers.root_mean_square(x, norm.weight, self.layers.config.norm_epsilon)  # type: ignore[arg-type]

    def _turned(self, x: str, cosine: str, sine: str) -> str:
        """Columns c and c + D/2 taken as a plane, each turned by its angle."""
        graph = self.layers.graph
        first, second = graph.ops("Split", [x], 2, {"axis": -1, "num_outputs": 2})
        a, b, c, d = (graph.op("Mul", part, by) for part in (first, second) for by in (cosine, sine))
        return graph.op("Concat", graph.op("Sub", a, d), graph.op("Add", c, b), attributes={"axis": -1})

    def attend(self, query_key_value: Sequence[str], told: Pass) -> str:
        """q (B, H, T, D), k (B, G, S, D), v (B, G, S, M) → (B, T, W)."""
        graph, (q, k, v) = self.layers.graph, query_key_value
        heads, groups = len(self.left.heads), self.left.groups
        if not self.left.even:
            k, v, groups = self._spread(k), self._spread(v), heads
        across = graph.op("Transpose", k, attributes={"perm": [0, 1, 3, 2]})
        scores = self._regrouped(graph.op("MatMul", self._regrouped(q, heads, groups), across), groups, heads)
        weights = self._regrouped(self._weights(scores, told), heads, groups)
        mixed = self._regrouped(graph.op("MatMul", weights, v), groups, heads)
        joined = graph.op("Transpose", mixed, attributes={"perm": [0, 2, 1, 3]})
        together = graph.op("Reshape", joined, graph.integers(0, 0, -1))
        return self.layers.linear(together, self.module.get_submodule("output"))

    def _weights(self, scores: str, told: Pass) -> str:
        """Scores (B, H, T, S) scaled, biased, hidden and normalised."""
        graph, visible, bias = self.layers.graph, told.visible, told.relative.bias
        if self.layers.config.score != "dot":
            scores = graph.op("Mul", scores, graph.number(1.0 / math.sqrt(self.sizes.key)))
        if bias is not None and len(self.left.heads) < self.layers.config.heads:
            bias = graph.op("Gather", bias, graph.integers(*self.left.heads))
        scores = scores if bias is None else graph.op("Add", scores, bias)
        hidden = graph.op("Where", visible, scores, graph.number(LOWEST))
        return graph.op("Where", visible, graph.op("Softmax", hidden, attributes={"axis": -1}), graph.number(0.0))

    def _spread(self, x: str) -> str:
        """Keys or values (B, G, S, ·), one a query head."""
        return self.layers.graph.op("Gather", x, self.layers.graph.integers(*self.left.reads), attributes={"axis": 1})

    def _regrouped(self, x: str, present: int, wanted: int) -> str:
        """(B, present, ·, N) → (B, wanted, ·, N): the same numbers in the same order."""
        if wanted == present:
            return x
        return self.layers.graph.op("Reshape", x, self.layers.graph.integers(0, wanted, -1, 0))
