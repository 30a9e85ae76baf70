"""Word alignments by hand: pieces to words by union, the error rate, gold lines, and a measure without gold."""

from __future__ import annotations

import pytest
import torch

from clearhead.errors import DataError
from clearhead.inspection.alignment import (
    Gold,
    by_words,
    error_rate,
    links_of,
    predictability,
    read_gold,
    written,
)

# source: das | Wet ter | ist | end;  target: the | wea ther | is | end
SOURCE, TARGET = [0, 1, 1, 2, -1], [0, 1, 1, 2, -1]
WEIGHTS = torch.tensor(
    [
        [0.6, 0.1, 0.1, 0.1, 0.1],
        [0.1, 0.5, 0.2, 0.1, 0.1],
        [0.3, 0.1, 0.2, 0.1, 0.3],  # its largest but the end's is das: a second link of "weather"
        [0.0, 0.0, 0.1, 0.2, 0.7],
        [0.0, 0.0, 0.0, 0.0, 1.0],
    ]
)


def test_words_are_linked_when_any_of_their_pieces_are() -> None:
    assert links_of(WEIGHTS, SOURCE, TARGET) == {(0, 0), (1, 1), (0, 1), (2, 2)}
    assert written(links_of(WEIGHTS, SOURCE, TARGET)) == "0-0 0-1 1-1 2-2"


def test_the_row_in_which_a_piece_is_read_is_the_next() -> None:
    assert links_of(WEIGHTS, SOURCE, TARGET, shift=1) == {(1, 0), (0, 1), (2, 1)}  # the end's row links nothing


def test_a_map_between_words() -> None:
    expected = torch.tensor([[0.6, 0.2, 0.1], [0.2, 0.5, 0.1], [0.0, 0.1, 0.2]])
    torch.testing.assert_close(by_words(WEIGHTS, SOURCE, TARGET), expected)


def test_the_error_rate_by_hand() -> None:
    """|A ∩ S| = 2, |A ∩ P| = 3, |A| = 4, |S| = 3: 1 − 5/7."""
    gold = Gold(frozenset({(0, 0), (1, 1), (2, 2)}), frozenset({(0, 0), (1, 1), (2, 2), (0, 1)}))
    assert error_rate([{(0, 0), (1, 1), (0, 1), (2, 1)}], [gold]) == pytest.approx(1 - 5 / 7)
    assert error_rate([set(gold.sure)], [gold]) == 0.0
    with pytest.raises(DataError, match="gold alignments for 1 sentence pairs, one a line, got 2"):
        error_rate([set()], [gold, gold])


def test_gold_lines() -> None:
    assert read_gold("0-0 1?2 3-1") == Gold(frozenset({(0, 0), (3, 1)}), frozenset({(0, 0), (1, 2), (3, 1)}))
    assert read_gold("1-1 2p3", first=1) == read_gold("0-0 1?2")
    for line, said in (("1-1 1:2", "got '1:2'"), ("0-1", "counted from 1, got '0-1'")):
        with pytest.raises(DataError, match=said):
            read_gold(line, first=1)


def test_without_gold_links_that_mean_something_tell_more() -> None:
    sentences = [("a b".split(), "A B".split()), ("b c".split(), "B C".split()), ("c a".split(), "C A".split())]
    right, crossed, end = [{(0, 0), (1, 1)}] * 3, [{(1, 0), (0, 1)}] * 3, [{(1, 0), (1, 1)}] * 3
    scores = [
        predictability([(found, *pair) for found, pair in zip(links, sentences, strict=True)])
        for links in (right, crossed, end)
    ]
    assert scores[0] == pytest.approx(1.0986, abs=1e-4)  # log 3: the word tells its translation
    assert scores[0] > max(scores[1:]) and min(scores) >= 0
