"""Laws of the order: every row once an epoch, both budgets kept, the same again from any place, hardly any padding."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.data.order import BatchOrder, evaluation_batches
from clearhead.data.permutation import Permutation
from clearhead.errors import ConfigurationError


class Corpus:
    """Lengths and nothing else."""

    def __init__(self, *lengths: np.ndarray) -> None:
        self._lengths = lengths
        self.samples = len(lengths)

    def lengths(self, sample: int = 0) -> np.ndarray:
        return self._lengths[sample]


def pairs_like_sentences(rows: int, seed: int = 0) -> np.ndarray:
    """Log-normal source lengths around 14 tokens, and targets that follow them loosely, as in translated captions."""
    chance = np.random.default_rng(seed)
    source = np.clip(chance.lognormal(2.6, 0.35, rows), 1, 100)
    target = np.clip(source * chance.lognormal(0.05, 0.2, rows), 1, 100)
    return np.stack([source, target], axis=1).astype(np.int32)


def as_lists(batches: object) -> list[list[int]]:
    return [batch.tolist() for batch in batches]  # type: ignore[attr-defined]


lengths_of_rows = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), min_size=1, max_size=60).map(
    lambda rows: np.array(rows, dtype=np.int32)
)


@given(lengths_of_rows, st.integers(31, 200), st.integers(0, 1 << 40), st.integers(1, 70), st.integers(0, 5))
@settings(deadline=None, max_examples=200)
def test_every_row_once_within_both_budgets(lengths: np.ndarray, budget: int, seed: int, pool: int, epoch: int) -> None:
    order = BatchOrder(Corpus(lengths), budget, seed, pool)
    batches = list(order.epoch(epoch))
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) * (lengths[batch].max(axis=0) + 1).max() <= budget
    assert order.count(epoch) == len(batches)


@given(lengths_of_rows, st.integers(0, 1 << 40), st.integers(1, 70), st.integers(0, 40))
@settings(deadline=None, max_examples=100)
def test_starting_later_gives_the_tail(lengths: np.ndarray, seed: int, pool: int, start: int) -> None:
    whole = as_lists(BatchOrder(Corpus(lengths), 40, seed, pool).epoch(3))
    assert as_lists(BatchOrder(Corpus(lengths), 40, seed, pool).epoch(3, start)) == whole[start:]


def test_epochs_and_seeds_differ_and_repeat() -> None:
    corpus = Corpus(pairs_like_sentences(500))
    first = as_lists(BatchOrder(corpus, 512, 1).epoch(0))
    assert as_lists(BatchOrder(corpus, 512, 1).epoch(0)) == first
    assert as_lists(BatchOrder(corpus, 512, 1).epoch(1)) != first
    assert as_lists(BatchOrder(corpus, 512, 2).epoch(0)) != first
    assert [len(batch) for batch in first] != sorted(len(batch) for batch in first)


@pytest.mark.parametrize(("rows", "budget"), [(30_000, 2048), (30_000, 4096), (100_000, 8192)])
def test_padding_stays_under_five_per_cent(rows: int, budget: int) -> None:
    lengths = pairs_like_sentences(rows)
    cells = sum(
        len(batch) * int((lengths[batch].max(axis=0) + 1).sum())
        for batch in BatchOrder(Corpus(lengths), budget, 0).epoch(0)
    )
    assert 1 - (lengths + 1).sum() / cells < 0.05


def test_each_epoch_reads_its_own_segmentation() -> None:
    short, long = np.full((40, 2), 1, dtype=np.int32), np.full((40, 2), 9, dtype=np.int32)
    order = BatchOrder(Corpus(short, long), 20, 0)
    assert [len(next(order.epoch(number))) for number in range(4)] == [10, 2, 10, 2]


@pytest.mark.parametrize(("side", "name"), [(0, "source"), (1, "target")])
def test_a_sentence_over_the_budget_is_refused_with_both_numbers(side: int, name: str) -> None:
    lengths = np.ones((5, 2), dtype=np.int32)
    lengths[3, side] = 64
    BatchOrder(Corpus(lengths), 65, 0)
    for refuse in (lambda: BatchOrder(Corpus(lengths), 64, 0), lambda: evaluation_batches(lengths, 64)):
        with pytest.raises(ConfigurationError, match=f"batch_tokens is 64, but the {name} of pair 3 has 65 tokens"):
            refuse()


def test_a_later_segmentation_over_the_budget_is_refused_too() -> None:
    short, long = np.full((4, 2), 1, dtype=np.int32), np.full((4, 2), 99, dtype=np.int32)
    with pytest.raises(ConfigurationError, match="100 tokens"):
        BatchOrder(Corpus(short, long), 50, 0)


def test_a_pool_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"pool .* not 0"):
        BatchOrder(Corpus(np.ones((4, 2), dtype=np.int32)), 50, 0, pool=0)


def test_an_empty_corpus_has_no_batches() -> None:
    nothing = np.zeros((0, 2), dtype=np.int32)
    assert list(BatchOrder(Corpus(nothing), 50, 0).epoch(0)) == []
    assert evaluation_batches(nothing, 50) == []


@given(lengths_of_rows, st.integers(31, 200))
@settings(deadline=None, max_examples=100)
def test_evaluation_batches_hold_every_row_once_within_the_budget(lengths: np.ndarray, budget: int) -> None:
    batches = evaluation_batches(lengths, budget)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert all(len(batch) * (lengths[batch].max(axis=0) + 1).max() <= budget for batch in batches)
    assert as_lists(batches) == as_lists(evaluation_batches(lengths, budget))


def test_a_huge_corpus_costs_only_its_pool() -> None:
    """Twenty million rows that share their memory; a shuffle with a number for each would take 160 MB."""
    lengths = np.broadcast_to(np.array([[3, 4]], dtype=np.int32), (20_000_000, 2))
    tracemalloc.start()
    batches = BatchOrder(Corpus(lengths), 500, 1, pool=1000).epoch(0)
    rows = np.concatenate([next(batches) for _ in range(20)])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(set(rows.tolist())) == len(rows) == 2000
    assert rows.min() < 100_000 < 19_900_000 < rows.max()
    assert peak < 40_000_000


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 16, 17, 64, 1000, 4097])
def test_a_permutation_holds_every_number_once(size: int) -> None:
    permutation = Permutation(size, (1, 2))
    whole = permutation(0, size)
    assert sorted(whole.tolist()) == list(range(size))
    parts = [permutation(start, min(start + 7, size)) for start in range(0, size, 7)]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_a_permutation_looks_random() -> None:
    """Neighbours land anywhere: correlations and fixed points are those of chance."""
    size = 20_000
    values = [Permutation(size, (seed,))(0, size) for seed in range(20)]
    for permuted in values:
        assert abs(np.corrcoef(np.arange(size), permuted)[0, 1]) < 4 / size**0.5
        assert abs(np.corrcoef(permuted[:-1], permuted[1:])[0, 1]) < 4 / size**0.5
    assert len({tuple(permuted[:5]) for permuted in values}) == 20
    assert sum(int((permuted == np.arange(size)).sum()) for permuted in values) < 60


def test_rows_of_one_side_are_cut_by_their_own_length() -> None:
    lengths = np.random.default_rng(2).integers(0, 40, (500, 1)).astype(np.int32)
    batches = evaluation_batches(lengths, 200)
    assert sorted(row for batch in batches for row in batch.tolist()) == list(range(500))
    sizes = [(len(batch), int(lengths[batch].max()) + 1) for batch in batches]
    assert all(rows * longest <= 200 for rows, longest in sizes)
    real = sum(int((lengths[batch] + 1).sum()) for batch in batches)
    assert 1 - real / sum(rows * longest for rows, longest in sizes) < 0.06


def test_a_row_of_one_side_that_is_too_long_is_named() -> None:
    lengths = np.array([[3], [90]], dtype=np.int32)
    with pytest.raises(ConfigurationError, match="the row 1 has 91 tokens with its special symbol"):
        BatchOrder(Corpus(lengths), 50, 1)
