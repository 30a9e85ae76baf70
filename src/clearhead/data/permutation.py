"""A shuffle of any number of rows that needs no memory: a keyed permutation, computed where it is looked at.

A Feistel network (Luby & Rackoff 1988) permutes the numbers below a power of four; numbers that land outside the
wanted range are sent through again until they land inside ("cycle walking", Black & Rogaway 2002). It knows nothing
of rows or lengths.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROUNDS = 6


class Permutation:
    """A permutation of 0 … size - 1, the same for the same ``key``."""

    def __init__(self, size: int, key: tuple[int, ...]) -> None:
        """``key``: any numbers, at least 0."""
        self.size = size
        self._half = np.uint64(max(1, (max(size - 1, 1).bit_length() + 1) // 2))
        self._mask = np.uint64((1 << int(self._half)) - 1)
        self._keys = np.random.SeedSequence(key).generate_state(_ROUNDS, np.uint64)

    def __call__(self, start: int, stop: int) -> NDArray[np.int64]:
        """What the places ``start`` … ``stop`` - 1 hold."""
        values = self._shuffle(np.arange(start, stop, dtype=np.uint64))
        while (outside := values >= self.size).any():
            values[outside] = self._shuffle(values[outside])
        return values.astype(np.int64)

    def _shuffle(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        left, right = values >> self._half, values & self._mask
        for key in self._keys:
            left, right = right, left ^ (_scramble(right ^ key) & self._mask)
        return (left << self._half) | right


def _scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The finaliser of splitmix64 (Steele, Lea & Flood 2014): every input bit changes every output bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
