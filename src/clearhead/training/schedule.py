"""The learning rate as a share of its peak, by update: linear warm-up, then one of four ways down (or none).

Updates count from 1, so the first already moves the weights. "inverse_sqrt" is equation 3 of arXiv 1706.03762, written
relative to its peak; "cosine" is equation 5 of arXiv 1608.03983 without restarts. Pure functions: no state to save.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from clearhead.training.settings import TrainingSettings


def learning_rate(settings: TrainingSettings, update: int) -> float:
    """The learning rate of update number ``update`` (1 is the first)."""
    return settings.learning_rate * factor(settings, update)


def factor(settings: TrainingSettings, update: int) -> float:
    """The share of the peak learning rate at ``update``, in [0, 1]."""
    if update < settings.warmup:
        return update / settings.warmup
    return SCHEDULES[settings.schedule](settings, update)


def inverse_sqrt(settings: TrainingSettings, update: int) -> float:
    """sqrt(warmup / update): the peak at the end of the warm-up, a tenth of it at 100 times the warm-up."""
    return math.sqrt(max(settings.warmup, 1) / update)


def cosine(settings: TrainingSettings, update: int) -> float:
    """Half a cosine from 1 down to the final share."""
    return _between(settings, (1 + math.cos(math.pi * _elapsed(settings, update))) / 2)


def linear(settings: TrainingSettings, update: int) -> float:
    """A straight line from 1 down to the final share."""
    return _between(settings, 1 - _elapsed(settings, update))


def constant(settings: TrainingSettings, update: int) -> float:
    """The peak, to the end."""
    return 1.0


SCHEDULES: dict[str, Callable[[TrainingSettings, int], float]] = {
    "inverse_sqrt": inverse_sqrt,
    "cosine": cosine,
    "linear": linear,
    "constant": constant,
}


def _elapsed(settings: TrainingSettings, update: int) -> float:
    """0 at the end of the warm-up, 1 at the last update and after it."""
    return min((update - settings.warmup) / (settings.updates - settings.warmup), 1.0)


def _between(settings: TrainingSettings, share: float) -> float:
    return settings.final_learning_rate + (1 - settings.final_learning_rate) * share
