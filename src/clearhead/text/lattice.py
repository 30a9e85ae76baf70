"""All ways to cut many words into known pieces at once, as flat arrays: the ground on which unigram is learnt.

Every place between two characters of a word is a node, every piece that fits between two nodes an edge. Words are
walked level by level (place in the word), all words together. It knows scores of pieces, not where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Lattice:
    """The edges of a list of words. Each node must be reachable: single characters are pieces and stay so."""

    def __init__(self, start: Ints, end: Ints, piece: Ints, first: Ints) -> None:
        """Edges by node numbers and piece; ``first`` (words + 1,): each word's first node, and the number of nodes."""
        self.first = first
        position = np.arange(first[-1]) - np.repeat(first[:-1], np.diff(first))
        by_end = np.lexsort((end, position[end]))
        self.start, self.end, self.piece = start[by_end], end[by_end], piece[by_end]
        self._forwards = _levels(position[self.end], self.end)
        self._from_start = np.lexsort((self.start, -position[self.start]))
        back = self.start[self._from_start]
        self._backwards = _levels(position[back], back)

    @classmethod
    def of(cls, words: Sequence[str], pieces: Mapping[str, int], longest: int, *, whole: bool = True) -> Self:
        """The lattice of ``words``; ``whole`` says whether a word may be one single piece."""
        start, end, piece, first = [], [], [], [0]
        for word in words:
            node, size = first[-1], len(word)
            for begin, stop in _spans(size, longest):
                known = pieces.get(word[begin:stop])
                if known is not None and (whole or stop - begin < size or size == 1):
                    start.append(node + begin)
                    end.append(node + stop)
                    piece.append(known)
            first.append(node + size + 1)
        return cls(*(np.array(column, dtype=np.int64) for column in (start, end, piece, first)))

    def restricted(self, alive: NDArray[np.bool_]) -> Lattice:
        """Without the edges of pieces that are not ``alive``."""
        keep = alive[self.piece]
        return self if keep.all() else Lattice(self.start[keep], self.end[keep], self.piece[keep], self.first)

    def best(self, scores: Floats) -> Floats:
        """For each word the score of its best way."""
        reached: Floats = np.zeros(self.first[-1])
        for edges, bounds in self._forwards:
            ways = reached[self.start[edges]] + scores[self.piece[edges]]
            reached[self.end[edges][bounds]] = np.maximum.reduceat(ways, bounds)
        return reached[self.first[1:] - 1]

    def expected(self, scores: Floats, counts: Floats) -> Floats:
        """How often each piece is expected, when word w occurs ``counts[w]`` times and a way's weight is exp(score)."""
        into = self._summed(self._forwards, np.arange(len(self.piece)), self.start, self.end, scores)
        out_of = self._summed(self._backwards, self._from_start, self.end, self.start, scores)
        word = np.searchsorted(self.first, self.start, side="right") - 1
        total = into[self.first[1:] - 1]
        ways = np.exp(into[self.start] + scores[self.piece] + out_of[self.end] - total[word])
        return np.bincount(self.piece, ways * counts[word], minlength=len(scores)).astype(np.float64, copy=False)

    def _summed(self, levels: list[tuple[slice, Ints]], order: Ints, near: Ints, far: Ints, scores: Floats) -> Floats:
        """Log of the summed weights of all ways from a word's border to each node, walking from ``near`` to ``far``."""
        reached = np.zeros(self.first[-1])
        near, far, piece = near[order], far[order], self.piece[order]
        for edges, bounds in levels:
            ways = reached[near[edges]] + scores[piece[edges]]
            top = np.maximum.reduceat(ways, bounds)
            widths = np.diff(np.append(bounds, len(ways)))
            summed = np.add.reduceat(np.exp(ways - np.repeat(top, widths)), bounds)
            reached[far[edges][bounds]] = top + np.log(summed)
        return reached


@cache
def _spans(size: int, longest: int) -> list[tuple[int, int]]:
    """Where in a word of ``size`` characters a piece can begin and stop."""
    return [(begin, stop) for begin in range(size) for stop in range(begin + 1, min(begin + longest, size) + 1)]


def _levels(level: Ints, node: Ints) -> list[tuple[slice, Ints]]:
    """Slices of equal ``level`` (already together), each with the places where a new ``node`` begins in it."""
    borders = [0, *(np.flatnonzero(np.diff(level)) + 1).tolist(), len(level)]
    return [
        (slice(first, last), np.flatnonzero(np.diff(node[first:last], prepend=-1)))
        for first, last in pairwise(borders)
        if last > first
    ]
