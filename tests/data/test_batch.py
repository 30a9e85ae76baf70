"""A batch: one case by hand, and laws of splitting and padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.data.batch import PairBatch, around, collate_pairs
from clearhead.errors import ShapeError
from clearhead.symbols import HOUSE, Symbols
from clearhead.text.tokenizer import END, PAD, START

TENSORS = ("source", "source_mask", "target_in", "target_out", "target_mask")


def test_one_batch_by_hand() -> None:
    batch = collate_pairs([[5, 6], [7]], [[8], [9, 10, 11]])
    assert batch.source.tolist() == [[5, 6, END], [7, END, PAD]]
    assert batch.source_mask.tolist() == [[True, True, True], [True, True, False]]
    assert batch.target_in.tolist() == [[START, 8, PAD, PAD], [START, 9, 10, 11]]
    assert batch.target_out.tolist() == [[8, END, PAD, PAD], [9, 10, 11, END]]
    assert batch.target_mask.tolist() == [[True, True, False, False], [True, True, True, True]]
    assert (batch.tokens, len(batch)) == (6, 2)
    assert batch.source.dtype == batch.target_in.dtype == batch.target_out.dtype == torch.int64
    assert batch.source_mask.dtype == batch.target_mask.dtype == torch.bool


def test_symbols_of_other_vocabularies_by_hand() -> None:
    """BART's: 0 begins and 2 ends a text, 1 pads, and outputs begin after another 2 (shift_tokens_right of its paper's
    code). Marian's: 20 pads and begins outputs, 0 ends them. The sides may differ.
    """
    bart = Symbols(pad=1, before=(0,), after=(2,), start=2, forced=(0,), ends=(2,), never=(), silent=(0, 1, 2))
    batch = collate_pairs([[5, 6], [7]], [[8], [9, 10]], (bart, bart))
    assert batch.source.tolist() == [[0, 5, 6, 2], [0, 7, 2, 1]]
    assert batch.target_in.tolist() == [[2, 0, 8, 1], [2, 0, 9, 10]]
    assert batch.target_out.tolist() == [[0, 8, 2, 1], [0, 9, 10, 2]]
    assert batch.target_mask.tolist() == [[True, True, True, False], [True] * 4]
    assert (batch.tokens, around((bart, bart)), batch.symbols) == (7, (2, 2), bart)
    learnt = bart.model_copy(update={"forced": ()})  # where nothing is forced, a text's own beginning is learnt
    assert torch.equal(collate_pairs([[5]], [[8]], (learnt, learnt)).target_out, torch.tensor([[0, 8, 2]]))
    marian = Symbols(pad=20, after=(0,), start=20, ends=(0,), never=(20,), silent=(0, 20))
    mixed = collate_pairs([[5, 6], [7]], [[8], [9, 10]], (HOUSE, marian))
    assert mixed.source.tolist() == [[5, 6, END], [7, END, PAD]]
    assert mixed.target_in.tolist() == [[20, 8, 20], [20, 9, 10]]
    assert mixed.target_out.tolist() == [[8, 0, 20], [9, 10, 0]]
    assert mixed.target_mask.tolist() == [[True, True, False], [True] * 3]
    (first, second) = mixed.split(2)
    assert first.target_in.tolist() == [[20, 8]] and second.symbols == marian


def test_rows_may_be_arrays_of_any_integer_type_and_empty() -> None:
    arrays = collate_pairs([np.array([5, 6], dtype=np.uint16)], [np.array([], dtype=np.uint32)])
    assert arrays.source.tolist() == [[5, 6, END]]
    assert (arrays.target_in.tolist(), arrays.target_out.tolist(), arrays.tokens) == ([[START]], [[END]], 1)


rows = st.lists(st.lists(st.integers(4, 99), max_size=9), min_size=1, max_size=12)


@given(rows, st.integers(0, 1 << 30), st.integers(1, 15))
@settings(deadline=None, max_examples=100)
def test_the_parts_of_a_batch_are_the_batches_of_its_parts(sources: list[list[int]], seed: int, parts: int) -> None:
    chance = np.random.default_rng(seed)
    targets = [chance.integers(4, 99, chance.integers(0, 9)).tolist() for _ in sources]
    whole = collate_pairs(sources, targets)
    split, first = whole.split(parts), 0
    assert len(split) <= parts
    for part in split:
        direct = collate_pairs(sources[first : first + len(part)], targets[first : first + len(part)])
        assert all(torch.equal(getattr(part, name), getattr(direct, name)) for name in TENSORS)
        assert part.tokens == direct.tokens
        first += len(part)
    assert first == len(whole)
    assert sum(part.tokens for part in split) == whole.tokens


def test_masks_tell_tokens_from_padding() -> None:
    batch = collate_pairs([[4] * size for size in (3, 0, 7)], [[4] * size for size in (1, 5, 2)])
    for ids, mask in ((batch.source, batch.source_mask), (batch.target_out, batch.target_mask)):
        assert torch.equal(ids != PAD, mask)
    assert torch.equal(batch.target_in != PAD, batch.target_mask)


def test_moving_keeps_everything() -> None:
    batch = collate_pairs([[5]], [[6, 7]])
    moved = batch.to("meta")
    assert {getattr(moved, name).device.type for name in TENSORS} == {"meta"}
    assert moved.tokens == batch.tokens
    assert isinstance(moved, PairBatch)


@pytest.mark.parametrize(("sources", "targets"), [([], []), ([[4]], []), ([[4]], [[4], [5]])])
def test_sides_of_different_numbers_are_refused(sources: list[list[int]], targets: list[list[int]]) -> None:
    with pytest.raises(ShapeError, match=f"got {len(sources)} and {len(targets)}"):
        collate_pairs(sources, targets)


def test_splitting_into_nothing_is_refused() -> None:
    with pytest.raises(ShapeError, match="not 0"):
        collate_pairs([[4]], [[4]]).split(0)
