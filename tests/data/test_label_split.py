"""A share is held out of every label alike, repeatably, and no text stands on both sides."""

from __future__ import annotations

import pytest

from clearhead.data.label_split import held_out_rows, plain
from clearhead.data.labelled import LabelledText
from clearhead.errors import DataError


def rows(sizes: dict[str, int]) -> list[LabelledText]:
    names = [name for name, size in sizes.items() for _ in range(size)]
    return [LabelledText(f"text {number}", (name,), number) for number, name in enumerate(names)]


def test_every_label_gives_its_share() -> None:
    given = rows({"a": 200, "b": 50, "c": 10, "d": 1})
    marks = held_out_rows(given, 0.1, seed=1)
    held = [row.labels[0] for row, mark in zip(given, marks, strict=True) if mark]
    assert {name: held.count(name) for name in "abcd"} == {"a": 20, "b": 5, "c": 1, "d": 0}


def test_shares_below_one_text_add_up_over_labels() -> None:
    given = rows({f"label {number}": 3 for number in range(100)})
    assert held_out_rows(given, 0.1, seed=1).sum() == 30


def test_the_same_seed_holds_out_the_same_rows() -> None:
    given = rows({"a": 100, "b": 100})
    assert (held_out_rows(given, 0.2, seed=3) == held_out_rows(given, 0.2, seed=3)).all()
    assert (held_out_rows(given, 0.2, seed=3) != held_out_rows(given, 0.2, seed=4)).any()


def test_equal_texts_stand_on_one_side() -> None:
    given = rows({"a": 40}) * 2 + [LabelledText(f" TEXT  {number}", ("a",), 0) for number in range(40)]
    marks = held_out_rows(given, 0.25, seed=1)
    sides = {
        mark: {plain(row.text) for row, m in zip(given, marks, strict=True) if m == mark} for mark in (True, False)
    }
    assert sides[True].isdisjoint(sides[False])
    assert marks.sum() == 30


def test_nothing_to_hold_out_is_refused() -> None:
    with pytest.raises(DataError, match="holds none of them out"):
        held_out_rows(rows({"a": 1, "b": 1}), 0.5, seed=1)
