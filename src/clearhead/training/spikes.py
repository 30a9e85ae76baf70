"""Tells a loss that jumped from one that wobbles: a robust z-score against the median of the last updates.

z = (loss − median) / (1.4826 · MAD), the scale of the median absolute deviation that estimates a normal deviation
(Rousseeuw and Croux 1993). Only upward, and only after enough updates; a jump begins the window anew, so a loss that
stays high becomes the usual one and is not reported again at every update.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass

WINDOW = 64
FEWEST = 24
LIMIT = 8.0
LEAST_SPREAD = 0.02  # of the median: below this, wobbling is taken for this much


@dataclass(frozen=True, slots=True)
class Spike:
    """A loss out of range: the recent median and the z-score."""

    usual: float
    score: float


def spike(recent: list[float], loss: float) -> Spike | None:
    """Whether ``loss`` lies far above ``recent`` losses."""
    if len(recent) < FEWEST:
        return None
    usual = statistics.median(recent)
    spread = statistics.median(abs(value - usual) for value in recent) * 1.4826
    score = (loss - usual) / max(spread, LEAST_SPREAD * abs(usual), 1e-6)
    return Spike(usual, score) if score > LIMIT else None


def remember(recent: list[float], loss: float, jumped: bool) -> list[float]:
    """The recent losses with ``loss`` among them; nothing but ``loss`` after a jump."""
    kept = [] if jumped else recent[-(WINDOW - 1) :]
    return [*kept, loss]
