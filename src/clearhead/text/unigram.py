"""Learn the pieces of a unigram language model (Kudo 2018, arXiv 1804.10959, section 3.2) from counted words.

Start with many frequent substrings; repeat: estimate their probabilities by expectation maximisation over all ways
to cut each word, then drop the pieces whose loss would cost the likelihood least. Written here rather than taken
from the library because the library's result changes from run to run. It knows words and counts, not files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from clearhead.text.lattice import Floats, Lattice

_LONGEST_PIECE = 16
_SEEDS_PER_PIECE = 10
_SHRINK = 0.75
_STEPS_BEFORE_CUT = 2
_LEAST_EXPECTED = 0.5
# Rarer words hardly move the estimate, and this bounds time and memory on any corpus.
_MOST_WORDS = 100_000


def learn_unigram(words: Mapping[str, int], size: int, alphabet: Collection[str]) -> list[tuple[str, float]]:
    """At most ``size`` pieces with their log probabilities, the most probable first; all of ``alphabet`` among them.

    ``words`` must be made of characters of ``alphabet`` only.
    """
    ranked = sorted(words.items(), key=lambda entry: (-entry[1], entry[0]))[:_MOST_WORDS]
    texts, counts = [word for word, _ in ranked], np.array([count for _, count in ranked], dtype=np.float64)
    pieces = [*sorted(alphabet), *_seeds(ranked, _SEEDS_PER_PIECE * size)]
    model = _Model(texts, counts, pieces, len(alphabet))
    while model.alive.sum() > 1.1 * size:
        model.estimate()
        model.cut(max(size, int(_SHRINK * model.alive.sum())))
    model.estimate()
    return model.result(size)


class _Model:
    """Pieces, of which the first ``fixed`` must stay, their scores, and the words they are estimated on."""

    def __init__(self, texts: Sequence[str], counts: Floats, pieces: Sequence[str], fixed: int) -> None:
        self._counts, self._pieces, self._fixed = counts, pieces, fixed
        self._words = Lattice.of(texts, self._numbers(pieces), _LONGEST_PIECE)
        self._replacements: Lattice | None = None
        self.alive = np.ones(len(pieces), dtype=bool)
        self._expected = np.bincount(self._words.piece, minlength=len(pieces)).astype(np.float64)
        self._score()

    def estimate(self) -> None:
        """A few steps of expectation maximisation; pieces hardly ever expected are given up."""
        for _ in range(_STEPS_BEFORE_CUT):
            self._expected = self._words.expected(self._scores, self._counts)
            self._keep(self._expected >= _LEAST_EXPECTED)
            self._score()

    def cut(self, size: int) -> None:
        """Keep the ``size`` pieces missed most: expected count times what the best replacement costs."""
        missed = self._expected * (self._scores - self._replaced().best(self._scores))
        missed[: self._fixed] = np.inf
        missed[~self.alive] = -np.inf
        keep = np.zeros(len(missed), dtype=bool)
        keep[np.argsort(-missed, kind="stable")[:size]] = True
        self._keep(keep)

    def result(self, size: int) -> list[tuple[str, float]]:
        """The ``size`` most probable pieces, the fixed ones in any case."""
        order = np.argsort(-self._scores, kind="stable")
        order = order[self.alive[order]]
        learnt = order[order >= self._fixed][: max(0, size - self._fixed)]
        chosen = np.concatenate([order[order < self._fixed], learnt])
        chosen = chosen[np.argsort(-self._scores[chosen], kind="stable")]
        return [(self._pieces[number], float(self._scores[number])) for number in chosen]

    def _keep(self, keep: NDArray[np.bool_]) -> None:
        keep[: self._fixed] = True
        self.alive &= keep
        self._words = self._words.restricted(self.alive)

    def _replaced(self) -> Lattice:
        """The ways to write each living piece with others. Made only when the first estimate has thinned them out."""
        if self._replacements is None:
            living = [piece if alive else "" for piece, alive in zip(self._pieces, self.alive, strict=True)]
            self._replacements = Lattice.of(living, self._numbers(living), _LONGEST_PIECE, whole=False)
        self._replacements = self._replacements.restricted(self.alive)
        return self._replacements

    @staticmethod
    def _numbers(pieces: Sequence[str]) -> dict[str, int]:
        return {piece: number for number, piece in enumerate(pieces) if piece}

    def _score(self) -> None:
        expected = np.maximum(self._expected, _LEAST_EXPECTED)
        self._scores = _digamma(expected) - _digamma(expected[self.alive].sum(keepdims=True))


def _seeds(words: Sequence[tuple[str, int]], most: int) -> list[str]:
    """Substrings of two or more characters seen twice or more, those that cover most characters first.

    A substring is looked at only where both shorter ones inside it are frequent, so rare long ones cost nothing.
    """
    found: list[tuple[int, str]] = []
    places: list[tuple[str, int, Sequence[int]]] = [(word, count, range(len(word) - 1)) for word, count in words]
    for size in range(2, _LONGEST_PIECE + 1):
        counts: Counter[str] = Counter()
        for word, count, begins in places:
            for begin in begins:
                counts[word[begin : begin + size]] += count
        frequent = {piece: count for piece, count in counts.items() if count >= 2}
        found += [(-size * count, piece) for piece, count in frequent.items()]
        places = [
            (word, count, kept) for word, count, begins in places if (kept := _longer(word, begins, size, frequent))
        ]
    return [piece for _, piece in sorted(found)[:most]]


def _longer(word: str, begins: Sequence[int], size: int, frequent: Collection[str]) -> Sequence[int]:
    """Those of ``begins`` from which a substring one longer than ``size`` may be frequent too."""
    last = len(word) - size - 1
    fine = [begin for begin in begins if word[begin : begin + size] in frequent]
    return [begin for begin in fine if begin <= last and word[begin + 1 : begin + 1 + size] in frequent]


def _digamma(values: Floats) -> Floats:
    """The derivative of log Γ, by recurrence to 6 and the asymptotic series (Abramowitz & Stegun 6.3.5, 6.3.18)."""
    shift = np.zeros_like(values)
    for step in range(6):
        shift += 1 / (values + step)
    inverse = 1 / (values + 6)
    square = inverse * inverse
    series = square * (1 / 12 - square * (1 / 120 - square / 252))
    result: Floats = -np.log(inverse) - inverse / 2 - series - shift
    return result
