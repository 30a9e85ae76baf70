"""The encoder–decoder once more, in numpy and plain loops over sentences, heads and positions, with nothing of ours.

Written from sections 3.1–3.5 of arXiv 1706.03762. It takes parameters by the names the built model gives them, so it
also pins those names, which saved weights depend on.
"""

from __future__ import annotations

import math

import numpy as np

Array = np.ndarray
Weights = dict[str, Array]
EPSILON = 1e-6


def softmax(scores: Array) -> Array:
    exponentials = np.exp(scores - scores.max())
    return exponentials / exponentials.sum()


def norm(x: Array, weights: Weights, name: str) -> Array:
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + EPSILON) * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x: Array, weights: Weights, name: str) -> Array:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def positions(count: int, width: int) -> Array:
    table = np.zeros((count, width))
    for p in range(count):
        for i in range(width):
            angle = p / 10000 ** ((i - i % 2) / width)
            table[p, i] = math.cos(angle) if i % 2 else math.sin(angle)
    return table


class Transformer:
    """One sentence at a time: source (n,) and target (m,) integers to logits (m, V)."""

    def __init__(
        self, weights: Weights, *, layers: tuple[int, int], heads: int, groups: int, widths: tuple[int, int], pre: bool
    ) -> None:
        self.weights, self.layers, self.pre = weights, layers, pre
        self.heads, self.groups, (self.key, self.value) = heads, groups, widths

    def logits(self, source: list[int], target: list[int]) -> Array:
        memory = self.stack("encoder", self.embed("encoder", source), None)
        states = self.stack("decoder", self.embed("decoder", target), memory)
        return states @ self.weights["decoder.embedding.tokens.weight"].T

    def embed(self, side: str, ids: list[int]) -> Array:
        rows = self.weights[f"{side}.embedding.tokens.weight"][ids]
        return rows * math.sqrt(rows.shape[1]) + positions(len(ids), rows.shape[1])

    def stack(self, side: str, x: Array, memory: Array | None) -> Array:
        for layer in range(self.layers[side == "decoder"]):
            block = f"{side}.blocks.{layer}"
            x = self.around(x, f"{block}.around_self", lambda y, b=block: self.self_attention(y, b, memory is not None))
            if memory is not None:
                x = self.around(x, f"{block}.around_cross", lambda y, b=block: self.cross_attention(y, memory, b))
            x = self.around(x, f"{block}.around_feedforward", lambda y, b=block: self.feedforward(y, b))
        return norm(x, self.weights, f"{side}.norm") if self.pre else x

    def around(self, x: Array, name: str, sublayer) -> Array:
        if self.pre:
            return x + sublayer(norm(x, self.weights, f"{name}.norm"))
        return norm(x + sublayer(x), self.weights, f"{name}.norm")

    def self_attention(self, x: Array, block: str, causal: bool) -> Array:
        name = f"{block}.self_attention"
        sizes = np.cumsum([self.heads * self.key, self.groups * self.key])
        q, k, v = np.split(linear(x, self.weights, f"{name}.query_key_value"), sizes, axis=1)
        return linear(self.mix(q, k, v, causal), self.weights, f"{name}.output")

    def cross_attention(self, x: Array, memory: Array, block: str) -> Array:
        name = f"{block}.cross_attention"
        k, v = np.split(linear(memory, self.weights, f"{name}.key_value"), [self.groups * self.key], axis=1)
        return linear(self.mix(linear(x, self.weights, f"{name}.query"), k, v, False), self.weights, f"{name}.output")

    def mix(self, q: Array, k: Array, v: Array, causal: bool) -> Array:
        out = np.zeros((len(q), self.heads * self.value))
        for head in range(self.heads):
            group = head * self.groups // self.heads
            for i in range(len(q)):
                seen = i + 1 if causal else len(k)
                query = q[i, head * self.key : (head + 1) * self.key]
                keys = k[:seen, group * self.key : (group + 1) * self.key]
                values = v[:seen, group * self.value : (group + 1) * self.value]
                weights = softmax(keys @ query / math.sqrt(self.key))
                out[i, head * self.value : (head + 1) * self.value] = weights @ values
        return out

    def feedforward(self, x: Array, block: str) -> Array:
        hidden = np.maximum(linear(x, self.weights, f"{block}.feedforward.into"), 0)
        return linear(hidden, self.weights, f"{block}.feedforward.out")
