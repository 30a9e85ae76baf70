"""How far a score could be off by the choice of examples: the paired bootstrap (Efron 1979; Koehn 2004 for BLEU).

Examples are drawn with replacement as many times as there are; a draw is how often each was taken. Two systems measured
on the same examples are compared on the same draws, so what is hard about an example cancels out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clearhead.errors import ConfigurationError

Numbers = NDArray[np.float64]
Score = Callable[[Numbers], Numbers]
AT_A_TIME = 1 << 24  # entries of a table of draws


@dataclass(frozen=True, slots=True)
class Interval:
    """A value of all examples, and between which values the middle ``confidence`` of the draws lie."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Draws:
    """``samples`` draws of ``count`` examples; the same for the same ``seed``.

    Raises:
        ConfigurationError: numbers out of range.
    """

    count: int
    samples: int = 1000
    seed: int = 1
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.samples < 1 or not 0 < self.confidence < 1:
            raise ConfigurationError(
                f"expected at least 1 sample and a confidence between 0 and 1, got {self.samples} and {self.confidence}"
            )

    def sums(self, numbers: Numbers) -> Numbers:
        """What each draw adds up to: numbers (N, K) of every example → (samples, K)."""
        chance = np.random.default_rng(self.seed)
        rows = max(1, AT_A_TIME // max(self.count, 1))
        found = []
        for start in range(0, self.samples, rows):
            size = min(rows, self.samples - start)
            shares = np.full(self.count, 1.0 / self.count)
            found.append(chance.multinomial(self.count, shares, size=size).astype(np.float64) @ numbers)
        return np.concatenate(found)

    def interval(self, numbers: Numbers, score: Score) -> Interval:
        """The score of examples with ``numbers`` (N, K)."""
        return self._around(float(score(numbers.sum(0))), score(self.sums(numbers)))

    def difference(self, numbers: Numbers, baseline: Numbers, score: Score) -> Interval:
        """How much higher the score is than that of the same examples with the numbers of ``baseline``."""
        value = float(score(numbers.sum(0)) - score(baseline.sum(0)))
        return self._around(value, score(self.sums(numbers)) - score(self.sums(baseline)))

    def _around(self, value: float, draws: Numbers) -> Interval:
        edge = (1 - self.confidence) / 2
        low, high = np.quantile(draws, [edge, 1 - edge])
        return Interval(value, float(low), float(high))
