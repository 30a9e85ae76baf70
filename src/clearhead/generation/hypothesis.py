"""One finished (or cut off) output of a search, and the length penalty by which outputs of unequal length are compared.

Length penalty: equation 14 of Wu et al. 2016 (arXiv 1609.08144) without its coverage term.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

Number = TypeVar("Number", float, Tensor)


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """Target tokens without specials, with what the model thinks of them.

    ``token_log_probabilities`` (natural logarithm, unfiltered, temperature 1) has one entry a token and, when
    ``finished``, one more for the end symbol; ``log_probability`` is their sum and ``score`` that sum over the length
    penalty. ``finished`` is False when the length limit cut the hypothesis off.
    """

    tokens: tuple[int, ...]
    score: float
    log_probability: float
    token_log_probabilities: tuple[float, ...]
    finished: bool


def length_penalty(length: Number, alpha: float) -> Number:
    """((5 + length) / 6) ** alpha; ``length`` in target tokens, the end symbol included."""
    penalty: Number = ((5.0 + length) / 6.0) ** alpha
    return penalty


def plain_penalty(length: Number, alpha: float) -> Number:
    """length ** alpha, the penalty of the library transformers; so alpha = 1 ranks by the mean log-probability."""
    penalty: Number = length**alpha
    return penalty
