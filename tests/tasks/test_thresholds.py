"""Tuned thresholds are the best there are: nothing found by trying everything is better."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from clearhead.tasks.thresholds import NEVER, tune


def micro_f1(given: np.ndarray, wanted: np.ndarray) -> float:
    both = given.sum() + wanted.sum()
    return 2 * (given & wanted).sum() / both if both else 1.0


def problem(seed: int, rows: int = 9, labels: int = 3) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    return chance.integers(0, 8, (rows, labels)) / 8, chance.random((rows, labels)) < 0.4


def candidates(values: np.ndarray) -> list[float]:
    return [*sorted(set(values.ravel().tolist())), NEVER]


@pytest.mark.parametrize("seed", range(20))
def test_one_threshold_is_the_best_of_all(seed: int) -> None:
    likely, wanted = problem(seed)
    (found,) = set(tune(likely, wanted, "shared", 0.5).tolist())
    best = max(micro_f1(likely >= threshold, wanted) for threshold in candidates(likely))
    assert micro_f1(likely >= found, wanted) == pytest.approx(best)


@pytest.mark.parametrize("seed", range(20))
def test_a_threshold_a_label_is_no_worse_and_cannot_be_bettered_alone(seed: int) -> None:
    likely, wanted = problem(seed)
    found = tune(likely, wanted, "per-label", 0.5)
    score = micro_f1(likely >= found, wanted)
    assert score >= micro_f1(likely >= tune(likely, wanted, "shared", 0.5), wanted)
    for label, threshold in product(range(3), candidates(likely)):
        other = found.copy()
        other[label] = threshold
        assert micro_f1(likely >= other, wanted) <= score + 1e-12


def test_a_fixed_one_stays() -> None:
    assert tune(*problem(1), "fixed", 0.3).tolist() == [0.3] * 3


def test_nothing_wanted_leaves_the_fixed_one() -> None:
    likely, wanted = problem(1)
    assert tune(likely, wanted & False, "shared", 0.4).tolist() == [0.4] * 3


def test_a_threshold_lies_between_two_probabilities() -> None:
    likely, wanted = np.array([[0.9], [0.6], [0.2]]), np.array([[True], [True], [False]])
    assert tune(likely, wanted, "shared", 0.5).tolist() == [pytest.approx(0.4)]
