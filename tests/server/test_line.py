"""The line in front of a model: bounded, in order, and who is let in together."""

from __future__ import annotations

import time
from typing import Any

import pytest

from clearhead.server.job import Job, extent
from clearhead.server.line import Line, LineClosed, LineFull, together
from clearhead.server.settings import Limits


def job(*inputs: Any, key: str | None = "same", seconds: float = 60) -> Job:
    return Job(lambda predictor: None, time.monotonic() + seconds, len(inputs), key, inputs)


LIMITS = Limits(texts=4, queue_texts=6, batch_texts=4, batch_characters=40)


def test_the_line_is_bounded_by_inputs_and_gives_places_back() -> None:
    line, first = Line(LIMITS), job("a", "b", "c")
    line.enter(first)
    line.enter(job("d", "e"))
    with pytest.raises(LineFull):
        line.enter(job("f", "g"))
    line.leave(first)
    line.leave(first)
    line.enter(job("f", "g"))
    assert (line.weight, len(line)) == (4, 2)


def test_the_oldest_goes_first_with_those_of_its_key() -> None:
    line, jobs = Line(LIMITS), [job("a"), job("b", key="other"), job("c"), job("d", key=None)]
    for each in jobs:
        line.enter(each)
    assert [line.take(), line.take(), line.take()] == [[jobs[0], jobs[2]], [jobs[1]], [jobs[3]]]


def test_company_is_chosen_by_length_within_a_rectangle() -> None:
    oldest, long, near, far = job("x" * 9), job("x" * 14), job("x" * 10), job("x")
    assert together([oldest, long, near, far], LIMITS) == [oldest, near, far]  # 3 × 14 would be above 40
    assert together([oldest, job(*"abcd"), near], LIMITS) == [oldest, near]  # 1 + 4 + 1 inputs would be above 4
    assert together([job("x" * 99), oldest], LIMITS)[0].longest == 99  # what is too large alone goes alone


def test_who_is_late_or_gone_is_not_taken() -> None:
    line, gone, late, here = Line(LIMITS), job("a"), job("b", seconds=-1), job("c")
    for each in (gone, late, here):
        line.enter(each)
    gone.answer.cancel()
    assert line.take() == [here]
    assert line.weight == 0


def test_a_closed_line_takes_nobody_and_empties() -> None:
    line = Line(LIMITS)
    line.enter(job("a"))
    line.close()
    with pytest.raises(LineClosed):
        line.enter(job("b"))
    assert not line.over
    assert len(line.take()) == 1
    assert line.over and line.take() == []


def test_the_extent_of_an_input() -> None:
    assert [extent(each) for each in ("abc", ["ab", "c"], [[0.5, 1.0], [2.0, 3.0]], "")] == [3, 3, 4, 0]
