"""Scores of labels against a case worked by hand and against scikit-learn, where it is there."""

from __future__ import annotations

import numpy as np
import pytest

from clearhead.errors import DataError
from clearhead.tasks.class_metrics import NONE, confusions, scores_of

WANTED = [("a",), ("a",), ("b",), ("c",)]
GIVEN = [("a",), ("b",), ("b",), ("b",)]


def test_one_label_by_hand() -> None:
    """a: 1 right of 1 given and 2 wanted, F1 2/3; b: 1 of 3 and 1, F1 1/2; c: 0."""
    scores, tables = scores_of(GIVEN, WANTED, ["a", "b", "c", "d"])
    assert scores == {
        "exact_match": 50.0,
        "micro_f1": 50.0,
        "macro_f1": pytest.approx((200 / 3 + 50 + 0) / 3),
    }
    assert list(tables["labels"]) == ["a", "b", "c"]
    assert tables["labels"]["a"] == {"precision": 100.0, "recall": 50.0, "f1": pytest.approx(200 / 3), "support": 2}
    assert tables["confusions"] == [["a", "b", 1], ["c", "b", 1]]
    assert tables["unseen_labels"] == {}


def test_sets_of_labels_by_hand() -> None:
    wanted, given = [("a", "b"), (), ("c",), ()], [("a",), (), ("a", "b"), ("c",)]
    scores, _ = scores_of(given, wanted, "abc")
    assert scores["exact_match"] == 25.0
    assert scores["micro_f1"] == pytest.approx(100 * 2 * 1 / (4 + 3))
    assert confusions(given, wanted) == {("b", NONE): 1, ("c", "a"): 1, ("c", "b"): 1, (NONE, "c"): 1}


def test_nothing_wanted_and_nothing_given_is_right() -> None:
    assert scores_of([(), ()], [(), ()], ["a"])[0] == {"exact_match": 100.0, "micro_f1": 100.0, "macro_f1": 100.0}


def test_a_label_that_training_never_saw_is_a_mistake_and_told() -> None:
    scores, tables = scores_of([("a",), ("a",)], [("a",), ("new",)], ["a", "b"])
    assert scores["exact_match"] == 50.0
    assert tables["unseen_labels"] == {"new": 1}
    assert list(tables["labels"]) == ["a", "new"]


@pytest.mark.parametrize(("given", "wanted"), [([], []), ([("a",)], []), ([], [("a",)])])
def test_every_text_needs_its_answer(given: list[tuple[str]], wanted: list[tuple[str]]) -> None:
    with pytest.raises(DataError, match="every text needs its answer"):
        scores_of(given, wanted, ["a"])


@pytest.mark.parametrize("sets", [False, True])
def test_scikit_learn_agrees(sets: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    chance, names = np.random.default_rng(3), list("abcdef")
    if sets:
        marks = [chance.random((50, 6)) < 0.3 for _ in range(2)]
        rows = [[tuple(np.array(names)[row]) for row in side] for side in marks]
        sides: list[object] = [side.astype(int) for side in marks]
    else:
        numbers = [chance.integers(0, 6, 50) for _ in range(2)]
        rows = [[(names[number],) for number in side] for side in numbers]
        sides = list(numbers)
    scores, tables = scores_of(rows[0], rows[1], names)
    assert scores["exact_match"] == pytest.approx(100 * metrics.accuracy_score(sides[1], sides[0]))
    for average in ("micro", "macro"):
        expected = metrics.f1_score(sides[1], sides[0], average=average, zero_division=0)
        assert scores[f"{average}_f1"] == pytest.approx(100 * expected)
    expected = metrics.f1_score(sides[1], sides[0], average=None, zero_division=0)
    assert [tables["labels"][name]["f1"] for name in names] == pytest.approx((100 * expected).tolist())
