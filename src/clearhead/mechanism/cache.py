"""Keys and values a decoder has already computed, so that each new token costs one position and not the whole prefix.

The generator owns a cache and passes it in; a layer writes its one position and reads the rest. Buffers are allocated
once for the longest output. Rows are sentences times hypotheses, grouped by sentence.
"""

from __future__ import annotations

from torch import Tensor


class LayerCache:
    """One layer's view of a cache: it appends a position and gets back everything so far."""

    def __init__(self, owner: KeyValueCache, layer: int) -> None:
        self.owner = owner
        self.layer = layer

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store k (N, G, t, D), v (N, G, t, M) behind what is there; all so far, (N, G, length + t, ·)."""
        start = self.owner.length
        end = start + k.shape[2]
        groups = k.shape[1]  # of a layer whose heads were pruned fewer than there is room for
        keys, values = self.owner.keys[self.layer, :, :groups], self.owner.values[self.layer, :, :groups]
        keys[:, :, start:end] = k
        values[:, :, start:end] = v
        return keys[:, :, :end], values[:, :, :end]


class KeyValueCache:
    """Self-attention keys (L, N, G, C, D) and values (L, N, G, C, M) of all layers, C the capacity in positions.

    ``length`` positions are filled; it is advanced by the owner of the forward pass once all layers have appended.
    """

    def __init__(self, keys: Tensor, values: Tensor, length: int = 0) -> None:
        self.keys = keys
        self.values = values
        self.length = length

    @property
    def capacity(self) -> int:
        """Positions that fit without growing."""
        return self.keys.shape[3]

    def layer(self, index: int) -> LayerCache:
        """The view handed to layer ``index``."""
        return LayerCache(self, index)

    def reserve(self, positions: int) -> None:
        """Make room for ``positions`` more; doubles, so that growing costs a constant per position."""
        if self.length + positions <= self.capacity:
            return
        capacity = max(self.length + positions, 2 * self.capacity)
        self.keys = self._grown(self.keys, capacity)
        self.values = self._grown(self.values, capacity)

    def _grown(self, old: Tensor, capacity: int) -> Tensor:
        new = old.new_empty(*old.shape[:3], capacity, old.shape[4])
        new[:, :, :, : self.length] = old[:, :, :, : self.length]
        return new

    def take(self, rows: Tensor) -> None:
        """Row n becomes what row ``rows[n]`` was: reorders hypotheses and drops finished sentences alike."""
        self.keys = self._taken(self.keys, rows)
        self.values = self._taken(self.values, rows)

    def _taken(self, old: Tensor, rows: Tensor) -> Tensor:
        new = old.new_empty(old.shape[0], rows.shape[0], *old.shape[2:])
        new[:, :, :, : self.length] = old[:, :, :, : self.length].index_select(1, rows)
        return new
