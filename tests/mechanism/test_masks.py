"""Mask expressions against their rules written out, tile by tile; what they refuse; what they leave alone."""

from __future__ import annotations

import itertools

import pytest
import torch

import clearhead
from clearhead.errors import ConfigurationError, ShapeError
from clearhead.mechanism import masks

from .problems import B, S, T, mask_cases, queries_keys_values

CPU = torch.device("cpu")


def spans(size: int) -> list[tuple[int, int]]:
    return [(a, b) for a, b in itertools.combinations(range(size + 1), 2) if (a + b) % 2 or b - a == 1 or b - a == size]


@pytest.mark.parametrize("name", mask_cases())
def test_the_whole_map_is_the_rule_written_out(name: str) -> None:
    case = mask_cases()[name]
    full = case.expression.full(case.queries, case.keys)
    assert full.dtype == torch.bool
    assert full.dim() == 4
    assert torch.equal(full.expand(B, 1, case.queries, case.keys), case.written_out())


@pytest.mark.parametrize("name", mask_cases())
def test_every_tile_is_its_part_of_the_whole_and_nothing_is_seen_outside_the_columns(name: str) -> None:
    case = mask_cases()[name]
    whole = case.written_out()
    for rows, columns in itertools.product(spans(case.queries), spans(case.keys)):
        tile = case.expression.tile(rows, columns, CPU)
        part = whole[:, :, slice(*rows), slice(*columns)]
        assert torch.equal(tile.expand_as(part), part), (rows, columns)
    for rows in spans(case.queries):
        first, end = case.expression.columns(rows, case.keys)
        assert 0 <= first <= end <= case.keys
        assert not whole[:, :, slice(*rows), :first].any()
        assert not whole[:, :, slice(*rows), end:].any()
        first, end = case.expression.seen_by_all(rows, case.keys)
        assert 0 <= first <= end <= case.keys
        assert whole[:, :, slice(*rows), first:end].all()


@pytest.mark.parametrize(
    ("mask", "columns"),
    [
        (masks.causal(), (0, 11)),
        (masks.causal(2) & masks.window(15, 3), (4, 13)),
        (masks.lengths(torch.tensor([9, 5])) & masks.causal(), (0, 5)),
        (masks.causal(-8) | masks.window(20, 20), (0, 31)),
        (~masks.causal(), (0, 0)),
    ],
    ids=str,
)
def test_what_all_certainly_see_needs_no_tile(mask: masks.Mask, columns: tuple[int, int]) -> None:
    """Rows 10 to 19 of 1,000 keys; the promise is a lower bound, and these are as good as it can be."""
    assert mask.seen_by_all((10, 20), 1000) == columns


@pytest.mark.parametrize(
    ("mask", "rows", "keys", "columns"),
    [
        (masks.causal(), (10, 20), 1000, (0, 20)),
        (masks.window(3, 2), (10, 20), 1000, (7, 22)),
        (masks.window(3, 2) & masks.causal(), (10, 20), 1000, (7, 20)),
        (masks.window(3, 2) | masks.causal(-15), (10, 20), 1000, (0, 22)),
        (masks.window(3, 2) & ~masks.causal(), (10, 20), 1000, (7, 22)),
    ],
    ids=str,
)
def test_what_certainly_is_not_seen_is_left_away(
    mask: masks.Mask, rows: tuple[int, int], keys: int, columns: tuple[int, int]
) -> None:
    assert mask.columns(rows, keys) == columns


def test_a_boolean_tensor_composes_on_either_side() -> None:
    given = torch.tensor([True, False, True, True, False, True, True])
    causal = masks.causal().full(T, S)
    assert torch.equal((masks.causal() & given).full(T, S), causal & given)
    assert torch.equal((given & masks.causal()).full(T, S), causal & given)
    assert torch.equal((masks.causal() | given).full(T, S), causal | given)
    assert torch.equal((given | masks.causal()).full(T, S), causal | given)


def test_a_rule_may_answer_by_sentence() -> None:
    ids = torch.tensor([[0, 0, 1, 1, 1], [0, 1, 1, 2, 2]])
    rule = masks.where(lambda i, j: ids[:, None, i] == ids[:, None, j])
    assert torch.equal(rule.full(5, 5), masks.documents(ids).full(5, 5))


def test_writing_into_a_map_does_not_change_the_mask() -> None:
    masks.causal().full(T, S).fill_(True)
    assert torch.equal(masks.causal().full(T, S)[0, 0], torch.ones(T, S, dtype=torch.bool).tril())
    given = torch.ones(S, dtype=torch.bool)
    masks.as_mask(given).full(T, S).fill_(False)
    assert given.all()


def test_a_mask_first_used_without_gradients_serves_training_later() -> None:
    q, k, v = (x.float() for x in queries_keys_values(3, 3))
    with torch.inference_mode():
        clearhead.attention(q, k, v, mask=masks.causal() & ~masks.not_self())
        clearhead.attention(q, k, v, mask=masks.causal())
    for mask in (masks.causal(), masks.causal() & masks.causal()):
        leaf = q.detach().requires_grad_()
        clearhead.attention(leaf, k, v, mask=mask).sum().backward()
        assert leaf.grad is not None
    with torch.inference_mode():
        masks.causal(3).tile((0, 3), (0, 5), CPU)
    leaf = torch.zeros(1, 1, 3, 5, requires_grad=True)
    leaf.masked_fill(masks.causal(3).tile((0, 3), (0, 5), CPU), 1.0).sum().backward()


@pytest.mark.parametrize(
    ("make", "error", "both_sides"),
    [
        (lambda: masks.window(-1, 2), ConfigurationError, ["at least 0", "-1 and 2"]),
        (lambda: masks.lengths(torch.tensor([1.0])), ShapeError, ["integers of shape (B,)", "torch.float32"]),
        (lambda: masks.lengths(torch.tensor([[1, 2]])), ShapeError, ["(B,)", "(1, 2)"]),
        (lambda: masks.lengths(torch.tensor([True])), ShapeError, ["integers", "torch.bool"]),
        (lambda: masks.graph(torch.tensor([[0, 1, 2]]), 3), ShapeError, ["(E, 2)", "(1, 3)"]),
        (lambda: masks.graph(torch.tensor([[0, 3]]), 3), ShapeError, ["0 … 2", "0 … 3"]),
        (lambda: masks.graph(torch.tensor([[-1, 0]]), 3), ShapeError, ["0 … 2", "-1 … 0"]),
        (lambda: masks.documents(torch.tensor([1, 2])), ShapeError, ["(B, T)", "(2,)"]),
        (lambda: masks.documents(torch.tensor([[0.5, 2.0]])), ShapeError, ["integers", "torch.float32"]),
        (lambda: masks.as_mask(torch.zeros(2, 2)), ShapeError, ["boolean", "torch.float32", "bias"]),
        (lambda: masks.as_mask("causal"), ShapeError, ["boolean", "clearhead.masks", "str"]),
        (lambda: masks.causal() & 3, ShapeError, ["boolean", "int"]),
        (lambda: masks.where(lambda i, j: i - j).full(2, 2), ShapeError, ["booleans", "torch.int64"]),
        (lambda: masks.where(lambda i, j: True).full(2, 2), ShapeError, ["booleans", "bool"]),
        (lambda: masks.where(lambda i, j: (i < j)[:2]).full(3, 5), ShapeError, ["(3, 5)", "(2, 5)"]),
    ],
)
def test_refusals_say_both_sides(make, error: type[Exception], both_sides: list[str]) -> None:
    with pytest.raises(error) as caught:
        make()
    for words in both_sides:
        assert words in str(caught.value)


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (masks.lengths(torch.tensor([3, 4, 5])), [f"got (3, 1, 1, {S})", f"({B}, 6, {T}, {S})"]),
        (
            masks.documents(torch.zeros(B, S + 2, dtype=torch.int64)),
            [f"got ({B}, 1, {S + 2}, {S + 2})", f"({B}, 6, {T}, {S})"],
        ),
        (masks.documents(torch.zeros(3, S, dtype=torch.int64)), [f"got (3, 1, {S}, {S})", f"({B}, 6, {T}, {S})"]),
        (masks.graph(torch.tensor([[0, 1]]), S), [f"got (1, 1, {S}, {S})", f"({B}, 6, {T}, {S})"]),
        (masks.as_mask(torch.ones(T, S + 2, dtype=torch.bool)), [f"{T}, {S + 2})", f"{T}, {S})"]),
        (masks.causal() & torch.ones(T + 1, S, dtype=torch.bool), [f"{T + 1}, {S})", f"{T}, {S})"]),
        (~(masks.causal() | masks.lengths(torch.tensor([3, 4, 5]))), [f"got (3, 1, {T}, {S})", f"({B}, 6, {T}, {S})"]),
    ],
)
def test_a_mask_made_for_other_sizes_is_refused_and_never_cut(mask: masks.Mask, words: list[str]) -> None:
    q, k, v = queries_keys_values()
    for call in (lambda: clearhead.attention(q, k, v, mask=mask), lambda: clearhead.attention_weights(q, k, mask=mask)):
        with pytest.raises(ShapeError) as caught:
            call()
        for word in words:
            assert word in str(caught.value)
