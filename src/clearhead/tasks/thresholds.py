"""From which probability on a text gets a label: thresholds that make F1 largest on data not learnt from.

A label is given where its probability is at least the threshold. Micro-F1 counts right, given and wanted labels over
all texts. One threshold for all labels is found exactly, by trying every probability there is; one a label by going
through the labels in turn, each at its best given the others, until nothing changes, so micro-F1 never falls.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Marks = NDArray[np.bool_]
Tuning = Literal["fixed", "shared", "per-label"]
NEVER = 1.0 + 1e-6  # above every probability
ROUNDS = 20


def tune(probabilities: Floats, wanted: Marks, how: Tuning, fixed: float) -> NDArray[np.float64]:
    """(C,) thresholds from probabilities (N, C) and the labels that the texts have (N, C)."""
    classes = wanted.shape[1]
    if how == "fixed" or not wanted.any():
        return np.full(classes, fixed)
    best = np.full(classes, _best(probabilities.ravel(), wanted.ravel(), 0, 0, int(wanted.sum())))
    return best if how == "shared" else _one_a_label(probabilities, wanted, best)


def _one_a_label(probabilities: Floats, wanted: Marks, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
    thresholds = thresholds.copy()
    given = probabilities >= thresholds
    right, count = (given & wanted).sum(0), given.sum(0)
    for _ in range(ROUNDS):
        before = thresholds.copy()
        for label in range(len(thresholds)):
            others = right.sum() - right[label], count.sum() - count[label]
            column, marks = probabilities[:, label], wanted[:, label]
            thresholds[label] = _best(column, marks, int(others[0]), int(others[1]), int(wanted.sum()))
            chosen = column >= thresholds[label]
            right[label], count[label] = (chosen & marks).sum(), chosen.sum()
        if np.array_equal(before, thresholds):
            break
    return thresholds


def _best(probabilities: Floats, wanted: Marks, right: int, given: int, total: int) -> float:
    """The threshold that makes 2 right / (given + wanted) largest, with so many right and given labels elsewhere.

    It lies half-way between two probabilities that occur, so that rounding decides nothing; the highest of equals.
    """
    order = np.argsort(-probabilities, kind="stable")
    sorted_ = probabilities[order].astype(np.float64)
    hits = np.concatenate(([0], np.cumsum(wanted[order])))
    scores = 2 * (right + hits) / np.maximum(given + np.arange(len(hits)) + total, 1)
    borders = np.concatenate(([True], sorted_[1:] < sorted_[:-1], [True]))  # equal probabilities stand or fall together
    place = int(np.argmax(np.where(borders, scores, -1.0)))
    if place == 0:
        return NEVER
    below = sorted_[place] if place < len(sorted_) else 0.0
    return float((sorted_[place - 1] + below) / 2)
