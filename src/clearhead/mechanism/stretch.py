"""How rotary frequencies are slowed down so that a model reads further than it was trained to.

linear: every frequency divided by a factor (Chen et al. 2023, arXiv 2306.15595). llama3: only the slow ones are, those
whose wavelength spans a good part of the positions trained on; fast ones stay, and those between are blended
(Grattafiori et al. 2024, arXiv 2407.21783, section 3.4.3; the blend is that of the published code).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

Stretch = Callable[[Tensor], Tensor]  # frequencies (D/2,) in radians a place → the same, slowed down


def as_they_are(frequencies: Tensor) -> Tensor:
    """No change."""
    return frequencies


def linear(factor: float) -> Stretch:
    """All by the same factor."""
    return lambda frequencies: frequencies / factor


def llama3(factor: float, slow: float, fast: float, positions: int) -> Stretch:
    """By how many turns a plane makes within ``positions``: at most ``slow`` ones are slowed down by ``factor``, at
    least ``fast`` ones not at all, those between in proportion."""

    def stretched(frequencies: Tensor) -> Tensor:
        turns = positions * frequencies / (2 * math.pi)
        kept = ((turns - slow) / (fast - slow)).clamp(0.0, 1.0)
        return frequencies * (kept + (1.0 - kept) / factor)

    return stretched
