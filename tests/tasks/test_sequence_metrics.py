"""Scores of tags, by hand and against what seqeval 1.2.2 gives."""

from __future__ import annotations

import random

import pytest

from clearhead.data.tagged_sentence import marks_spans
from clearhead.errors import DataError
from clearhead.tasks.sequence_metrics import (
    Counts,
    Span,
    accuracy,
    accuracy_of_chosen,
    span_counts,
    spans,
    tag_counts,
    total,
)


def test_accuracy_by_hand() -> None:
    predicted, wanted = [["A", "B"], ["B"]], [["A", "A"], ["B"]]
    assert accuracy(predicted, wanted) == pytest.approx(200 / 3)
    assert accuracy_of_chosen(predicted, wanted, [[False, True], [True]]) == 50.0
    assert accuracy_of_chosen(predicted, wanted, [[False, False], [False]]) is None
    assert tag_counts(predicted, wanted) == {"A": Counts(1, 1, 2), "B": Counts(1, 2, 1)}


def test_a_share_of_nothing_is_zero() -> None:
    nothing = Counts(0, 0, 0)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O O", []),
        ("B-X I-X O", [("X", 0, 2)]),
        ("B-X B-X", [("X", 0, 1), ("X", 1, 2)]),
        ("I-X I-X", [("X", 0, 2)]),  # IOB1: a span may begin with I
        ("O I-X O I-X", [("X", 1, 2), ("X", 3, 4)]),
        ("B-X I-Y", [("X", 0, 1), ("Y", 1, 2)]),
        ("I-X B-X I-X", [("X", 0, 1), ("X", 1, 3)]),
        ("B-X E-X I-X S-X E-X", [("X", 0, 2), ("X", 2, 3), ("X", 3, 4), ("X", 4, 5)]),  # IOBES
        ("B-A-B I-A-B", [("A-B", 0, 2)]),
        ("B I O", [("_", 0, 2)]),
    ],
)
def test_where_spans_begin_and_end(tags: str, found: list[tuple[str, int, int]]) -> None:
    assert spans(tags.split()) == [Span(*span) for span in found]


def test_span_scores_by_hand() -> None:
    # The example of seqeval's README: one of two wanted spans found, two predicted.
    wanted = [["O", "O", "O", "B-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    predicted = [["O", "O", "B-MISC", "I-MISC", "I-MISC", "I-MISC", "O"], ["B-PER", "I-PER", "O"]]
    counts = span_counts(predicted, wanted)
    assert counts == {"MISC": Counts(0, 1, 1), "PER": Counts(1, 1, 1)}
    assert total(counts.values()).as_dict() == {"precision": 50.0, "recall": 50.0, "f1": 50.0, "support": 2}
    assert accuracy(predicted, wanted) == 80.0


def random_tags(seed: int) -> list[list[str]]:
    chance = random.Random(seed)
    tags = ["O", *(f"{prefix}-{type_}" for prefix in "BIES" for type_ in ("X", "Y"))]
    return [[chance.choice(tags) for _ in range(chance.randrange(1, 12))] for _ in range(200)]


def test_random_tags_score_as_with_seqeval() -> None:
    """The numbers are those of seqeval 1.2.2 on the same 200 sentences, in which most sequences are wrong."""
    wanted = random_tags(1)
    chance = random.Random(2)
    predicted = [[tag if chance.random() < 0.7 else "O" for tag in row] for row in wanted]
    every = total(span_counts(predicted, wanted).values())
    assert (every.predicted, every.wanted) == (725, 1001)
    assert (every.precision, every.recall, every.f1) == pytest.approx((94.20689656, 68.23176823, 79.14252607))


def test_a_tag_that_marks_no_span_is_refused() -> None:
    assert [marks_spans(tag) for tag in ("O", "B", "I-X", "X", "B-", "Q-X", "BX", "")] == [True] * 3 + [False] * 5
    with pytest.raises(DataError, match="got 'PER'"):
        spans(["O", "PER"])


@pytest.mark.parametrize(
    ("predicted", "wanted", "said"),
    [
        ([["A"]], [], "got 1 predicted and 0 wanted"),
        ([["A"], ["A"]], [["A"], ["A", "B"]], "sentence 2 has 1 predicted, 2 wanted"),
        ([], [], "there are no words to score"),
    ],
)
def test_sides_that_do_not_fit_are_refused(predicted: list[list[str]], wanted: list[list[str]], said: str) -> None:
    with pytest.raises(DataError, match=said):
        accuracy(predicted, wanted)
