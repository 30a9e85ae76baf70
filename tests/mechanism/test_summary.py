"""The summary of a map against sums over the textbook's map in float64: every mask, bias, grouping, precision."""

from __future__ import annotations

import math
from dataclasses import astuple, fields
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import clearhead
from clearhead import AttentionSummary, ConfigurationError, ShapeError, biases, masks
from clearhead.mechanism import summary_parts, summary_walk, textbook

from .problems import DEVICES, LAYOUTS, B, H, S, T, largest_difference, mask_cases, queries_keys_values, tensor
from .test_property import problems

TOLERANCE = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 1e-5, torch.float16: 1e-5}
HEADS_OF_ALIBI = torch.tensor([0.5 ** (h + 1) for h in range(H)])
BIASES: dict[str, Any] = {
    "tensor": tensor((1, H, T, S), 5),
    "a row": tensor((B, 1, 1, S), 6),
    "some of it −∞": tensor((B, H, T, S), 7).masked_fill(tensor((B, H, T, S), 8) > 0.5, -math.inf),
    "alibi": biases.alibi(HEADS_OF_ALIBI, offset=2),
    "t5": biases.relative(tensor((1, 1, 5, H), 9)[0, 0], lambda distances: distances.clamp(-2, 2) + 2),
    "a rule": biases.where(lambda i, j: torch.sin(i * 1.7 + j)),
}


@pytest.fixture(params=[1 << 18, 1, 23, 80], ids=lambda size: f"blocks of {size}")
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All heads at once; one head and a few rows at a time; some heads and sentences at a time."""
    monkeypatch.setattr(summary_walk, "BLOCK", {"cpu": request.param, "cuda": request.param})
    monkeypatch.setattr(summary_walk, "ROWS", 2)


def written_out(q: Tensor, k: Tensor, first_query: int = 0, **shaped: Any) -> dict[str, Tensor]:
    """Every quantity from the whole map in float64, as its definition says; top weights as a sorted map."""
    q, k = q.detach().cpu().double(), k.detach().cpu().double()
    mask = shaped.pop("mask", None)
    scores = textbook.attention_scores(q, k, **shaped)
    hidden = torch.zeros_like(scores, dtype=torch.bool) if mask is None else ~textbook.full_mask(mask, scores)
    scores = scores.masked_fill(hidden, -math.inf)
    if shaped.get("bias") is not None:
        scores = scores.masked_fill(textbook.full_bias(shaped["bias"], scores) == -math.inf, -math.inf)
    weights = textbook.attention_weights(q, k, mask=mask, **shaped)
    places = first_query + torch.arange(q.shape[2])
    distances = (places[:, None] - torch.arange(k.shape[2])).abs()
    return {
        "log_normalizer": torch.logsumexp(scores, -1),
        "entropy": -torch.xlogy(weights, weights).sum(-1),
        "received": weights.sum(-2),
        "sorted_weights": weights.sort(-1, descending=True).values,
        "mean_distance": (weights * distances).sum(-1),
        "weights": weights,
        "visible": scores > -math.inf,
    }


def check(got: AttentionSummary, wanted: dict[str, Tensor], top_k: int, tolerance: float) -> None:
    """All quantities agree to ``tolerance``, relative where they are large; NaN and infinity included."""
    for name in ("log_normalizer", "entropy", "received", "mean_distance"):
        ours = getattr(got, name).cpu().double()
        assert torch.allclose(ours, wanted[name], rtol=tolerance, atol=tolerance, equal_nan=True), name
    weights, visible = wanted["weights"], wanted["visible"]
    places, top = got.top_indices.cpu(), got.top_weights.cpu().double()
    assert places.shape == top.shape == (*weights.shape[:3], top_k)
    kept = torch.arange(top_k) < visible.sum(-1, keepdim=True)
    assert torch.equal(places >= 0, kept), "as many keys as are visible, then −1"
    assert (places[~kept] == -1).all()
    assert (top[~kept] == 0).all()
    largest = torch.nn.functional.pad(wanted["sorted_weights"], (0, top_k))[..., :top_k]
    assert largest_difference(top, largest) <= tolerance, "largest first"
    if weights.numel():
        assert visible.gather(-1, places.clamp(min=0))[kept].all(), "only what is visible"
        assert largest_difference(weights.gather(-1, places.clamp(min=0))[kept], top[kept]) <= tolerance
    assert all(len(set(row)) == len(row) for row in map(only_real, places.flatten(0, 2).tolist())), "no key twice"


def only_real(row: list[int]) -> list[int]:
    return [place for place in row if place >= 0]


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("groups", [H, 2, 1])
@pytest.mark.parametrize("name", mask_cases())
def test_every_mask(name: str, groups: int) -> None:
    case = mask_cases()[name]
    q, k, _ = queries_keys_values(case.queries, case.keys, groups=groups)
    got = clearhead.attention_summary(q, k, top_k=3, mask=case.expression)
    wanted = written_out(q, k, case.expression.first_query(), mask=case.written_out())
    check(got, wanted, 3, TOLERANCE[q.dtype])


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("masked", ["free", "causal(2)", "lengths with 0"])
@pytest.mark.parametrize("name", BIASES)
def test_every_bias(name: str, masked: str) -> None:
    q, k, _ = queries_keys_values(groups=3)
    mask = None if masked == "free" else mask_cases()[masked].expression
    shaped = {"mask": mask, "bias": BIASES[name], "softcap": 1.3, "scale": 0.7}
    got = clearhead.attention_summary(q, k, top_k=4, **shaped)
    check(got, written_out(q, k, 0 if mask is None else mask.first_query(), **shaped), 4, 1e-6)  # sin is float32


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_every_precision_and_layout(dtype: torch.dtype, layout: str, device: str) -> None:
    q, k, _ = (x.to(device, dtype) for x in queries_keys_values(groups=2, layout=layout))
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    got = clearhead.attention_summary(q, k, top_k=5, mask=masks.causal(1))
    assert {x.dtype for x in astuple(got)} == {exact, torch.int64}
    assert {x.device.type for x in astuple(got)} == {device}
    check(got, written_out(q, k, 1, mask=masks.causal(1)), 5, TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize(
    "mask", [None, masks.causal(), masks.lengths(torch.tensor([300, 500])), masks.window(60, 9)], ids=str
)
def test_rows_long_enough_for_the_shortcuts(mask: masks.Mask | None, dtype: torch.dtype) -> None:
    """Stripes of keys, columns that fill the last stripe up, blocks of several rows: as in any real sequence."""
    q, k = tensor((2, 4, 500, 16), 1).to(dtype), tensor((2, 2, 500, 16), 2).to(dtype)
    for top_k in (0, 1, 8):
        got = clearhead.attention_summary(q, k, top_k=top_k, mask=mask)
        check(got, written_out(q, k, mask=mask), top_k, 1e-5)


def test_by_hand() -> None:
    """Scores ln 1, ln 2, ln 5 weigh 1/8, 2/8, 5/8; the second query, at place 1, may not see the last key."""
    q, k = torch.tensor([[[[1.0], [1.0]]]]), torch.tensor([1.0, 2.0, 5.0]).log().view(1, 1, 3, 1)
    mask = torch.tensor([[True, True, True], [True, True, False]])
    got = clearhead.attention_summary(q, k, top_k=3, mask=mask, scale=1.0)
    torch.testing.assert_close(got.log_normalizer[0, 0], torch.tensor([math.log(8), math.log(3)]))
    torch.testing.assert_close(got.received[0, 0], torch.tensor([1 / 8 + 1 / 3, 2 / 8 + 2 / 3, 5 / 8]))
    torch.testing.assert_close(got.top_weights[0, 0], torch.tensor([[5 / 8, 2 / 8, 1 / 8], [2 / 3, 1 / 3, 0.0]]))
    assert got.top_indices[0, 0].tolist() == [[2, 1, 0], [1, 0, -1]]
    torch.testing.assert_close(got.mean_distance[0, 0], torch.tensor([2 / 8 + 2 * 5 / 8, 1 / 3]))
    entropy = [(math.log(8) + 2 * math.log(4) + 5 * math.log(8 / 5)) / 8, math.log(3) - 2 / 3 * math.log(2)]
    torch.testing.assert_close(got.entropy[0, 0], torch.tensor(entropy))


def test_where_a_query_stands() -> None:
    """All weight on the key straight before the query: one position, wherever the cache or the chunk begins."""
    positions = 40
    places = torch.eye(positions)[None, None] * 400.0
    before = places.roll(1, dims=2)  # row t is the one of place t − 1
    for first in (0, 7, 39):
        mask = masks.causal(first) & masks.lengths(torch.tensor([positions]))
        got = clearhead.attention_summary(before[:, :, first:], places, mask=mask, scale=1.0)
        rows = got.mean_distance[0, 0] if first else got.mean_distance[0, 0, 1:]
        torch.testing.assert_close(rows, torch.ones_like(rows))
    assert (masks.causal(-3) | masks.not_self()).first_query() == 0


def test_precision_far_from_the_first_position() -> None:
    """Distances of a few positions and entropies of nearly one key, 100,000 positions from where counting starts."""
    q, k = tensor((1, 1, 3, 4), 1).float(), tensor((1, 1, 100_003, 4), 2).float()
    for mask in (masks.causal(100_000) & masks.where(lambda i, j: i + 100_000 - j < 5), masks.causal(100_000)):
        shaped = {"mask": mask, "scale": 3.0}
        check(clearhead.attention_summary(q, k, **shaped), written_out(q, k, 100_000, **shaped), 8, 1e-5)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("hiding", ["mask", "bias"])
def test_nan_behind_a_mask_is_not_there(hiding: str, bad: float) -> None:
    allowed = torch.arange(S) < 5
    shaped = {"mask": allowed} if hiding == "mask" else {"bias": torch.where(allowed, 0.2, -math.inf)}
    q, k, _ = (x.float() for x in queries_keys_values())
    clean = clearhead.attention_summary(q, k.clone(), **shaped)
    k[:, :, 5:] = bad
    for ours, theirs in zip(astuple(clearhead.attention_summary(q, k, **shaped)), astuple(clean), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_who_sees_a_nan_becomes_nan_and_nobody_else(bad: float) -> None:
    q, k, _ = (x.float() for x in queries_keys_values(S, S, groups=2))
    clean = clearhead.attention_summary(q, k, mask=masks.causal(), top_k=2)
    k = k.clone()
    k[1, 0, 4, 2] = bad
    got = clearhead.attention_summary(q, k, mask=masks.causal(), top_k=2)
    sees = torch.zeros(B, H, S, dtype=torch.bool)
    sees[1, : H // 2, 4:] = True
    for field in fields(got):
        ours, theirs = getattr(got, field.name), getattr(clean, field.name)
        rows = sees if field.name != "received" else sees.any(-1, keepdim=True).expand_as(sees)
        assert torch.equal(ours[~rows], theirs[~rows]), field.name
        assert (ours[rows] == -1).all() if field.name == "top_indices" else ours[rows].isnan().all(), field.name


def test_nan_without_a_mask_is_told_by_every_number() -> None:
    q, k, _ = (x.float() for x in queries_keys_values())
    q = q.clone()
    q[0, 0, 2] = math.nan
    got = clearhead.attention_summary(q, k, top_k=2)
    for name in ("log_normalizer", "entropy", "mean_distance", "top_weights"):
        assert getattr(got, name)[0, 0, 2].isnan().all()
        assert getattr(got, name)[0, 0, [0, 1, 3, 4]].isfinite().all()
    assert (got.top_indices[0, 0, 2] == -1).all()


def test_scores_far_apart_stay_finite() -> None:
    """A visible key of weight 0 is still a visible key; exp of a difference of 10⁶ is 0 and times that is 0."""
    q, k = torch.tensor([[[[1e3]]]]), torch.tensor([[[[1e3], [-1e3], [0.0]]]])
    got = clearhead.attention_summary(q, k, top_k=4, scale=1.0)
    assert got.log_normalizer.item() == 1e6
    assert (got.entropy.item(), got.mean_distance.item()) == (0.0, 0.0)
    assert got.top_indices.flatten().tolist() == [0, 2, 1, -1]
    assert got.top_weights.flatten().tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize(("batch", "queries", "keys"), [(2, 0, 3), (2, 3, 0), (0, 3, 3), (0, 0, 0)])
def test_nothing_to_look_at(batch: int, queries: int, keys: int) -> None:
    q, k = torch.randn(batch, 4, queries, 5), torch.randn(batch, 2, keys, 5)
    got = clearhead.attention_summary(q, k, top_k=2, mask=masks.causal())
    assert got.received.shape == (batch, 4, keys)
    assert (got.received == 0).all()
    assert got.top_indices.shape == (batch, 4, queries, 2)
    assert (got.log_normalizer == -math.inf).all()
    assert (got.top_indices == -1).all()
    assert all((x == 0).all() for x in (got.entropy, got.top_weights, got.mean_distance))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    problems(), st.integers(0, 6), st.sampled_from([1, 20, 1 << 18]), st.sampled_from([torch.float64, torch.float32])
)
def test_any_problem(problem: tuple, top_k: int, block: int, dtype: torch.dtype) -> None:
    tensors, ours, theirs = problem
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary_walk, "BLOCK", {"cpu": block, "cuda": block})
        patch.setattr(summary_walk, "ROWS", 1)
        q, k = (x.to(dtype) for x in tensors[:2])
        shaped = {name: value for name, value in ours.items() if name != "score"}
        got = clearhead.attention_summary(q, k, top_k=top_k, **shaped)
    first_query = ours["mask"].first_query() if "mask" in ours else 0
    written = {name: value for name, value in theirs.items() if name != "score"}
    check(got, written_out(q, k, first_query, **written), top_k, 1e-11 if dtype == torch.float64 else 1e-4)


def test_laws_of_the_sums() -> None:
    """What the keys receive adds up to the queries that see something; entropy is at most log of what is visible."""
    q, k, _ = (x.float() for x in queries_keys_values(S, S))
    got = clearhead.attention_summary(q, k, mask=masks.causal(-1))
    torch.testing.assert_close(got.received.sum(-1), torch.full((B, H), S - 1.0))
    visible = torch.arange(S).clamp(min=1).log()
    assert ((got.entropy >= 0) & (got.entropy <= visible + 1e-6)).all()
    even = clearhead.attention_summary(torch.zeros_like(q), k, mask=masks.causal(-1))
    torch.testing.assert_close(even.entropy, visible.expand(B, H, S))


def test_it_leaves_what_it_looks_at_alone() -> None:
    q, k, v = (x.float().requires_grad_() for x in queries_keys_values())
    before = [x.detach().clone() for x in (q, k, v)]
    output = clearhead.attention(q, k, v, mask=masks.causal(1))
    got = clearhead.attention_summary(q, k, mask=masks.causal(1), softcap=2.0)
    assert not any(x.requires_grad for x in astuple(got))
    assert torch.equal(clearhead.attention(q, k, v, mask=masks.causal(1)), output)
    assert all(torch.equal(x, y) for x, y in zip((q, k, v), before, strict=True))
    with torch.autocast("cpu", torch.bfloat16):
        inside = clearhead.attention_summary(q, k, mask=masks.causal(1), softcap=2.0)
    with torch.inference_mode():
        predicting = clearhead.attention_summary(q * 1.0, k * 1.0, mask=masks.causal(1), softcap=2.0)
    for other in (inside, predicting):
        assert all(torch.equal(x, y) for x, y in zip(astuple(other), astuple(got), strict=True))


@pytest.mark.usefixtures("blocks")
def test_threads_side_by_side_find_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, _ = (x.float() for x in queries_keys_values(11, 17, groups=2))
    shaped = {"mask": masks.causal(3) & masks.lengths(torch.tensor([17, 6])), "bias": biases.alibi(HEADS_OF_ALIBI, 3)}
    results = []
    for workers in (1, 2, 3, 20):
        monkeypatch.setattr(summary_walk, "useful_workers", lambda device, workers=workers: workers)
        with torch.inference_mode():
            results.append(clearhead.attention_summary(q, k, **shaped))
    check(results[-1], written_out(q, k, 3, **shaped), 8, 1e-5)
    for other in results[1:]:
        for ours, theirs in zip(astuple(other), astuple(results[0]), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("count", [1, 3, 8])
@pytest.mark.parametrize("length", [1, 7, 8, 64, 500, 512, 2048])
def test_the_largest_by_stripes(length: int, count: int) -> None:
    length = summary_parts.padded(length, count)
    x = tensor((1, 2, 5, length), length).masked_fill(tensor((1, 2, 5, length), 3) > 1.0, -math.inf)
    top, places = summary_parts.largest(x, count)
    kept = min(count, length)
    assert torch.equal(top[..., :kept], x.topk(kept, -1).values)
    assert (top[..., kept:] == -math.inf).all()
    assert torch.equal(x.gather(-1, places[..., :kept]), top[..., :kept])


def test_a_rule_that_fails_in_a_thread_fails_where_it_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summary_walk, "BLOCK", {"cpu": 1, "cuda": 1})
    monkeypatch.setattr(summary_walk, "useful_workers", lambda device: 2)
    q, k, _ = queries_keys_values()
    with pytest.raises(ShapeError, match="must return booleans"):
        clearhead.attention_summary(q, k, mask=masks.where(lambda i, j: i + j))


def test_what_does_not_fit_is_refused_in_words() -> None:
    q, k = torch.randn(1, 4, 3, 5), torch.randn(1, 4, 3, 5)
    with pytest.raises(ConfigurationError, match="top_k must be a count of at least 0, got -1"):
        clearhead.attention_summary(q, k, top_k=-1)
    with pytest.raises(ShapeError, match=r"key heads must divide the query heads .* k \(1, 3, 3, 5\)"):
        clearhead.attention_summary(q, k[:, :3])
    with pytest.raises(ShapeError, match=r"mask must broadcast to \(B, H, T, S\) = \(1, 4, 3, 3\), got \(2, 3\)"):
        clearhead.attention_summary(q, k, mask=torch.ones(2, 3, dtype=torch.bool))
    with pytest.raises(ConfigurationError, match="softcap must be a positive number, got 0"):
        clearhead.attention_summary(q, k, softcap=0.0)
