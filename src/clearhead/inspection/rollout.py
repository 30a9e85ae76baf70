"""From which input a position's content came, over all layers: attention rollout and attention flow.

Abnar & Zuidema 2020 (arXiv 2005.00928). Each layer's heads are averaged, and half of what a position holds is taken to
be its own by the residual connection: Â = (A + I) / 2. Rollout multiplies the layers, R_l = Â_l R_{l−1}. Flow takes Â
as the capacities of a network of positions and layers, and asks how much can flow from a position of the last layer to
each input: a maximum flow, computed exactly by Dinic's algorithm (1970). It grows with T⁴ at worst and is for
sentences.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, ShapeError

TINY = 1e-12  # a capacity below this is none


def with_residual(layer: Tensor) -> Tensor:
    """Â (T, T), float64, of one layer's weights (H, T, T) or (T, T): the mean of heads and half the identity."""
    mean = (layer.mean(0) if layer.dim() == 3 else layer).double()
    if mean.dim() != 2 or mean.shape[0] != mean.shape[1]:
        raise ShapeError(f"a layer of self-attention is (H, T, T) or (T, T), got {tuple(layer.shape)}")
    both = mean + torch.eye(len(mean), dtype=torch.float64, device=mean.device)
    return both / both.sum(-1, keepdim=True)


def rollout(layers: Sequence[Tensor]) -> list[Tensor]:
    """R of every layer, (T, T) float64: row t says from which inputs position t came; rows sum to 1."""
    found: list[Tensor] = []
    for layer in layers:
        here = with_residual(layer)
        found.append(here if not found else here @ found[-1])
    return found


def flow(layers: Sequence[Tensor], rows: Sequence[int] | None = None) -> Tensor:
    """The maximum flow from each position of the last layer (or from ``rows``) to each input, (rows, T) float64.

    Raises:
        ConfigurationError: there is no layer.
    """
    if not layers:
        raise ConfigurationError("flow: expected the maps of at least one layer, got none")
    steps = [with_residual(layer).cpu() for layer in reversed(layers)]
    count = len(steps[0])
    chosen = range(count) if rows is None else rows
    network = _Network([step.tolist() for step in steps])
    return torch.tensor([[network.between(t, s) for s in range(count)] for t in chosen], dtype=torch.float64)


class _Network:
    """Positions of every layer as nodes, node l · T + t; edges one layer down, each with its way back."""

    def __init__(self, steps: list[list[list[float]]]) -> None:
        self.width, self.depth = len(steps[0]), len(steps)
        self.ends: list[int] = []
        self.capacities: list[float] = []
        self.out: list[list[int]] = [[] for _ in range(self.width * (self.depth + 1))]
        for layer, step in enumerate(steps):
            for t, row in enumerate(step):
                for s, capacity in enumerate(row):
                    if capacity > TINY:
                        self._edge(layer * self.width + t, (layer + 1) * self.width + s, capacity)

    def _edge(self, start: int, end: int, capacity: float) -> None:
        """Edge 2e and its way back, 2e + 1."""
        self.out[start].append(len(self.ends))
        self.out[end].append(len(self.ends) + 1)
        self.ends += [end, start]
        self.capacities += [capacity, 0.0]

    def between(self, t: int, s: int) -> float:
        """The maximum flow from position t of the last layer to input s."""
        self.room = list(self.capacities)
        goal, total = self.depth * self.width + s, 0.0
        while (levels := self._levels(t, goal))[goal] >= 0:
            following = [0] * len(self.out)
            while (pushed := self._push(t, goal, float("inf"), levels, following)) > TINY:
                total += pushed
        return total

    def _levels(self, start: int, goal: int) -> list[int]:
        """How many steps every node is away from ``start`` where there is room; −1 where it cannot be reached."""
        levels = [-1] * len(self.out)
        levels[start], ahead = 0, deque([start])
        while ahead:
            node = ahead.popleft()
            for edge in self.out[node]:
                end = self.ends[edge]
                if levels[end] < 0 and self.room[edge] > TINY:
                    levels[end] = levels[node] + 1
                    ahead.append(end)
        return levels

    def _push(self, node: int, goal: int, most: float, levels: list[int], following: list[int]) -> float:
        """Send up to ``most`` from ``node`` to the goal along one path of rising levels; how much went."""
        if node == goal:
            return most
        while following[node] < len(self.out[node]):
            edge = self.out[node][following[node]]
            end = self.ends[edge]
            if levels[end] == levels[node] + 1 and self.room[edge] > TINY:
                pushed = self._push(end, goal, min(most, self.room[edge]), levels, following)
                if pushed > TINY:
                    self.room[edge] -= pushed
                    self.room[edge ^ 1] += pushed
                    return pushed
            following[node] += 1
        return 0.0
