"""Splitting pairs: no sentence in two parts, whole components, the asked shares, and the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clearhead.data.ledger import Ledger
from clearhead.data.pair import Pair
from clearhead.data.pair_split import PARTS, assign, connected, parts_in_numbers, read_part, sentence_keys
from clearhead.data.split_settings import PairSplit
from clearhead.errors import DataError

Texts = list[tuple[str, str]]


def pairs(texts: Texts) -> list[Pair]:
    return [Pair(source, target, line) for line, (source, target) in enumerate(texts, start=1)]


def by_hand(texts: Texts) -> list[int]:
    """Components by merging, pair by pair: the number of the first pair of each one's component."""
    groups: list[set[int]] = []
    for number, (source, target) in enumerate(texts):
        joined = {number}
        for group in [
            group for group in groups if any(texts[one][0] == source or texts[one][1] == target for one in group)
        ]:
            joined |= group
            groups.remove(group)
        groups.append(joined)
    return [min(next(group for group in groups if number in group)) for number in range(len(texts))]


def test_a_case_by_hand() -> None:
    texts = [
        ("Hi.", "嗨。"),
        ("Run.", "跑。"),
        ("Hi.", "你好。"),
        ("Hello.", "你好。"),
        ("hello.  ", "喂。"),
        ("No.", "不。"),
    ]
    assert connected(*sentence_keys(pairs(texts))).tolist() == [0, 1, 0, 0, 0, 5]


@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("klmnopqrst")), min_size=1, max_size=25))
@settings(deadline=None)
def test_components_are_those_of_merging_pair_by_pair(texts: Texts) -> None:
    assert connected(*sentence_keys(pairs(texts))).tolist() == by_hand(texts)


def test_a_long_chain_is_one_component() -> None:
    chain = [(f"s{(n + 1) // 2}", f"t{n // 2}") for n in range(2001)]
    order = np.random.default_rng(1).permutation(len(chain))
    assert connected(*sentence_keys(pairs([chain[n] for n in order]))).tolist() == [0] * len(chain)


def corpus(rows: int = 3000) -> Texts:
    chance = np.random.default_rng(3)
    return [(f"source {a}", f"target {b}") for a, b in zip(*chance.integers(0, 2 * rows, (2, rows)), strict=True)]


def test_no_sentence_stands_in_two_parts_and_the_shares_are_kept() -> None:
    texts = corpus()
    parts = assign(*sentence_keys(pairs(texts)), PairSplit(valid=0.1, test=0.05))
    for side in (0, 1):
        seen = {}
        for text, part in zip(texts, parts, strict=True):
            assert seen.setdefault(text[side], part) == part
    assert [int((parts == number).sum()) for number in range(3)] == [2550, 300, 150]


def test_the_same_seed_gives_the_same_parts_and_another_gives_others() -> None:
    keys = sentence_keys(pairs(corpus()))
    one, again, other = (assign(*keys, PairSplit(test=0.1, seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, again) and not np.array_equal(one, other)


def test_a_giant_component_is_trained_on() -> None:
    texts = [("same", f"t{n}") for n in range(50)] + [(f"s{n}", f"u{n}") for n in range(50)]
    parts = assign(*sentence_keys(pairs(texts)), PairSplit(valid=0.1, test=0.2))
    assert not parts[:50].any()
    assert np.bincount(parts).tolist() == [70, 10, 20]


def test_reading_a_part_marks_its_pairs_and_the_parts_make_the_whole() -> None:
    texts, split = corpus(200), PairSplit(valid=0.1, test=0.1)

    def read(ledger: Ledger) -> Iterator[Pair]:
        for pair in pairs(texts):
            ledger.read += 1
            yield pair

    found = []
    for part in PARTS:
        ledger = Ledger()
        marked = list(read_part(read, split, part, ledger))
        assert ledger.read == len(marked) == 200
        found += [pair for pair, chosen in marked if chosen]
    assert sorted(found) == sorted(pairs(texts))
    with pytest.raises(DataError, match="the split leaves no pair for test: 200 pairs"):
        list(read_part(read, PairSplit(valid=0.5), "test", Ledger()))


def test_what_each_part_holds_is_told() -> None:
    texts = [("a", "x"), ("a", "y"), ("b", "z"), ("c", "w")]
    told = parts_in_numbers(pairs(texts), PairSplit(test=0.25))
    assert sum(part["pairs"] for part in told.values()) == 4
    assert told["test"] == {"pairs": 1, "sources": 1, "targets": 1, "components": 1, "largest_component": 1}
    assert told["train"]["largest_component"] == 2
    assert told["valid"]["pairs"] == 0


def test_impossible_shares_are_refused() -> None:
    for shares in ({}, {"valid": 0.5, "test": 0.5}):
        with pytest.raises(ValidationError, match="must leave some pairs to train on and some to hold out"):
            PairSplit.model_validate(shares)
