"""Biases as expressions: every rectangle is that of the map written out, and gradients reach whoever made them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import clearhead
from clearhead.errors import ShapeError
from clearhead.mechanism import biases, masks, paths, textbook
from clearhead.mechanism.biases import Bias, as_bias
from clearhead.mechanism.paths import Problem

from .problems import PATHS, B, H, S, T, gradients, largest_difference, queries_keys_values, tensor

CPU = torch.device("cpu")
BUCKETS = 4
SLOPES = torch.tensor([0.5, 0.25, 0.125, 1.0, 0.0, 2.0], dtype=torch.float64)
RECTANGLES = [
    ((0, T), (0, S)),
    ((2, 4), (1, 6)),
    ((4, 5), (6, 7)),
    ((0, 1), (0, S)),
    ((3, 3), (0, S)),
    ((0, T), (2, 2)),
]


def bucket(distances: Tensor) -> Tensor:
    """Far left, left, here, right."""
    return (distances + 2).clamp(0, BUCKETS - 1)


def table() -> Tensor:
    return tensor((1, 1, BUCKETS, H), 3)[0, 0].clone().requires_grad_()


def written_out(kind: str, offset: int, weights: Tensor) -> Tensor:
    """The map (1, H, T, S) entry by entry from the papers' equations."""

    def entry(h: int, i: int, j: int) -> Tensor:
        if kind == "alibi":
            return -SLOPES[h] * abs(i + offset - j)
        return weights[min(max(j - i - offset + 2, 0), BUCKETS - 1), h]

    return torch.stack(
        [torch.stack([torch.stack([entry(h, i, j) for j in range(S)]) for i in range(T)]) for h in range(H)]
    )[None]


def lazy(kind: str, offset: int, weights: Tensor) -> Bias:
    return biases.alibi(SLOPES, offset) if kind == "alibi" else biases.relative(weights, bucket, offset)


@pytest.mark.parametrize("offset", [0, 3])
@pytest.mark.parametrize("kind", ["alibi", "relative"])
def test_every_rectangle_is_that_of_the_map(kind: str, offset: int) -> None:
    weights = table()
    bias, full = lazy(kind, offset, weights), written_out(kind, offset, weights)
    assert bias.shape((B, H, T, S)) == full.shape
    for rows, columns in RECTANGLES:
        rectangle = bias.tile(rows, columns, CPU)
        assert rectangle.shape == full[:, :, slice(*rows), slice(*columns)].shape
        assert largest_difference(rectangle, full[:, :, slice(*rows), slice(*columns)]) < 1e-15


@pytest.mark.parametrize("path", [path for path in PATHS if path != "fused"])
@pytest.mark.parametrize("kind", ["alibi", "relative"])
def test_attention_with_an_expression_is_attention_with_its_map(
    kind: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "TILE", B * H * S * 2)
    weights = table()
    leaves = tuple(x.requires_grad_() for x in queries_keys_values())
    learned = (*leaves, weights) if kind == "relative" else leaves
    mask = masks.window(2, 1)
    ours = PATHS[path](Problem(*leaves, mask, lazy(kind, 2, weights)))
    wanted = textbook.attention(*leaves, mask=mask, bias=written_out(kind, 2, weights))
    assert largest_difference(ours, wanted) < 1e-13
    for got, right in zip(gradients(ours, learned), gradients(wanted, learned), strict=True):
        assert largest_difference(got, right) < 1e-12


def test_the_public_functions_take_expressions() -> None:
    q, k, v = queries_keys_values()
    bias = biases.alibi(SLOPES)
    full = bias.full(T, S)
    for function, given in (
        (clearhead.attention, (q, k, v)),
        (clearhead.attention_weights, (q, k)),
        (clearhead.attention_scores, (q, k)),
    ):
        assert largest_difference(function(*given, bias=bias), function(*given, bias=full)) < 1e-13


def test_under_a_causal_mask_alibi_is_the_papers() -> None:
    """Section 3 of arXiv 2108.12409 adds m · (−(i − j)); softmax does not see a constant a row."""
    q, k, v = queries_keys_values(T, T)
    papers = SLOPES[:, None, None] * torch.arange(T)
    ours = clearhead.attention(q, k, v, mask=masks.causal(), bias=biases.alibi(SLOPES))
    assert largest_difference(ours, clearhead.attention(q, k, v, mask=masks.causal(), bias=papers)) < 1e-13


def test_a_cached_step_sees_what_the_whole_sees() -> None:
    q, k, v = queries_keys_values(S, S)
    weights = table()
    for kind in ("alibi", "relative"):
        whole = clearhead.attention(q, k, v, mask=masks.causal(), bias=lazy(kind, 0, weights))
        step = clearhead.attention(
            q[:, :, 4:5], k[:, :, :5], v[:, :, :5], mask=masks.causal(4), bias=lazy(kind, 4, weights)
        )
        assert largest_difference(step, whole[:, :, 4:5]) < 1e-13


def test_sums_and_rules() -> None:
    given = tensor((1, 1, T, S), 6)
    rule = biases.where(lambda i, j: (i - 2 * j).double())
    both = given + (rule + biases.alibi(SLOPES))
    wanted = given + torch.arange(T)[:, None] - 2 * torch.arange(S) + biases.alibi(SLOPES).full(T, S)
    assert both.shape((B, H, T, S)) == (B, H, T, S)
    for rows, columns in RECTANGLES:
        rectangle = both.tile(rows, columns, CPU)
        assert largest_difference(rectangle, wanted[:, :, slice(*rows), slice(*columns)]) < 1e-14
    shifted = both.shifted(2, 3)
    assert torch.equal(shifted.tile((0, 2), (1, 3), CPU), both.tile((2, 4), (4, 6), CPU))
    by_distance = biases.by_distance(lambda d: -SLOPES[:, None] * d.abs(), H, 1)
    assert torch.equal(by_distance.full(T, S), biases.alibi(SLOPES, 1).full(T, S))


def test_a_rule_may_mask() -> None:
    q, k, v = queries_keys_values(S, S)
    rule = biases.where(lambda i, j: torch.where(j <= i, 0.0, -math.inf))
    broken = k.clone()
    broken[:, :, 5] = math.nan
    assert (
        largest_difference(clearhead.attention(q, k, v, bias=rule), clearhead.attention(q, k, v, mask=masks.causal()))
        < 1e-13
    )
    output = clearhead.attention(q, broken, v, bias=rule)
    assert torch.isfinite(output[:, :, :5]).all()
    assert torch.isnan(output[:, :, 5:]).all()


def test_learns_only_when_something_does() -> None:
    assert biases.relative(table(), bucket).learns(CPU)
    assert not biases.relative(table().detach(), bucket).learns(CPU)
    assert not biases.alibi(SLOPES).learns(CPU)
    assert not biases.by_distance(lambda d: SLOPES[:, None] * d, H).learns(CPU)
    learned = table()
    assert biases.by_distance(lambda d: learned[bucket(d)].t(), H).learns(CPU)
    assert as_bias(torch.zeros(3, requires_grad=True)).learns(CPU)
    with torch.no_grad():
        assert not biases.relative(table(), bucket).learns(CPU)


def test_long_rows_never_ask_for_a_map(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0

    def slope(i: Tensor, j: Tensor) -> Tensor:
        nonlocal largest
        largest = max(largest, i.shape[0] * j.shape[1])
        return -0.1 * (i - j).abs().float()

    monkeypatch.setattr(paths, "TILE", 1 << 16)
    q, k, v = (x.requires_grad_() for x in torch.randn(3, 1, 1, 1024, 2))
    clearhead.attention(q, k, v, bias=biases.where(slope)).sum().backward()
    assert 0 < largest <= 1 << 16
    assert paths.choose(Problem(q, k, v, bias=biases.alibi(torch.ones(1)))) is paths.streamed
    assert paths.choose(Problem(q, k, v, bias=torch.zeros(1024))) is paths.fused  # one row


def test_refused() -> None:
    q, k, v = queries_keys_values()
    attend, by_distance, where = clearhead.attention, biases.by_distance, biases.where
    cases = [
        (lambda: biases.alibi(torch.ones(2, 2)), r"one slope a head, \(H,\), got \(2, 2\)"),
        (lambda: biases.relative(torch.ones(2), bucket), r"a table \(buckets, H\), got \(2,\)"),
        (lambda: attend(q, k, v, bias=biases.alibi(torch.ones(2))), r"bias must broadcast .* got \(1, 2, 5, 7\)"),
        (lambda: by_distance(lambda d: d.float(), H).full(T, S), r"\(H, distances\) = \(6, 11\), got \(11,\)"),
        (lambda: where(lambda i, j: j <= i).full(T, S), r"must return floats, got torch.bool"),
        (lambda: where(lambda i, j: 0).full(T, S), r"must return floats, got int"),
        (lambda: where(lambda i, j: torch.zeros(S, T)).full(T, S), r"\(…, t, s\) = \(5, 7\), got \(7, 5\)"),
        (lambda: attend(q, k, v, bias="alibi"), r"bias must be float or a clearhead.biases expression, got str"),
    ]  # fmt: skip
    for wrong, message in cases:
        with pytest.raises(ShapeError, match=message):
            wrong()
