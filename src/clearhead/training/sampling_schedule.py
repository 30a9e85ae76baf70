"""How much of the truth a decoder is fed at each update: the decays of scheduled sampling, and what a recipe says of
them.

ε, the share of true tokens, at update i (counted from 0), after Bengio et al. 2015, section 2.4 (arXiv 1506.03099):

    constant          ε = truth
    linear            ε = max(truth, 1 − i / k)
    exponential       ε = max(truth, k^i),                k < 1
    inverse_sigmoid   ε = max(truth, k / (k + e^(i / k))), k ≥ 1

The paper's linear decay max(ε, k − c i) is written here with k updates until nothing of the truth would be left. Pure
functions: no state to save.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

Schedule = Literal["constant", "linear", "exponential", "inverse_sigmoid"]
LARGEST_EXPONENT = 700.0  # of e in a float64


class ScheduledSampling(Settings):
    """Feed the decoder its own words in place of some of the true ones (two passes: arXiv 1906.07651).

    ``schedule`` and ``k`` say how the share of true tokens falls, ``truth`` is the least it falls to (the share itself
    for "constant", which has no ``k``). The first ``begin`` updates are teacher forcing. ``choice`` of the model's word
    at a position: its most probable ("best"), or one drawn from its distribution ("sample").
    """

    schedule: Schedule = "inverse_sigmoid"
    truth: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    k: Annotated[float, Field(gt=0.0, le=1e9)] | None = None
    begin: Annotated[int, Field(ge=0, le=1 << 40)] = 0
    choice: Literal["best", "sample"] = "best"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.schedule == "constant") != (self.k is None):
            needs = (
                "has no k: its share is truth" if self.schedule == "constant" else "needs k, which says how it falls"
            )
            raise ValueError(f'schedule = "{self.schedule}" {needs}')
        if self.schedule == "exponential" and self.k is not None and self.k >= 1:
            raise ValueError(f'schedule = "exponential" falls as k^i, so k must be below 1, not {self.k}')
        if self.schedule == "inverse_sigmoid" and self.k is not None and self.k < 1:
            raise ValueError(f'schedule = "inverse_sigmoid" is k / (k + e^(i / k)) with k of at least 1, not {self.k}')
        return self


def true_share(settings: ScheduledSampling, update: int) -> float:
    """ε at update number ``update``, the first being 1, in [0, 1]; 1 is teacher forcing."""
    elapsed = update - 1 - settings.begin
    if elapsed < 0:
        return 1.0
    return max(settings.truth, SCHEDULES[settings.schedule](settings, elapsed))


def constant(settings: ScheduledSampling, elapsed: int) -> float:
    """The same share throughout."""
    return settings.truth


def linear(settings: ScheduledSampling, elapsed: int) -> float:
    """1 at first, 0 after k updates."""
    return max(0.0, 1 - elapsed / _k(settings))


def exponential(settings: ScheduledSampling, elapsed: int) -> float:
    """k^i: half is gone after log 2 / −log k updates."""
    return math.exp(elapsed * math.log(_k(settings)))


def inverse_sigmoid(settings: ScheduledSampling, elapsed: int) -> float:
    """Nearly 1 for long, a half after k log k updates, then nearly 0."""
    k = _k(settings)
    return k / (k + math.exp(min(elapsed / k, LARGEST_EXPONENT)))


SCHEDULES: dict[Schedule, Callable[[ScheduledSampling, int], float]] = {
    "constant": constant,
    "linear": linear,
    "exponential": exponential,
    "inverse_sigmoid": inverse_sigmoid,
}


def _k(settings: ScheduledSampling) -> float:
    return 1.0 if settings.k is None else settings.k
