"""The textbook against numbers worked out by hand and against torch in float64; all else is compared with it."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

import clearhead
from clearhead.mechanism import masks, textbook

from .problems import H, S, T, cast, gradients, largest_difference, mask_cases, queries_keys_values, tensor

# One head, one query (1, 0), keys (1, 0), (0, 1), (1, 1), D = 2, scale 1 so that the scores are 1, 0, 1:
# weights e/(2e+1), 1/(2e+1), e/(2e+1) = 0.42231880, 0.15536241, 0.42231880.
QUERY = torch.tensor([[[[1.0, 0.0]]]], dtype=torch.float64)
KEYS = torch.tensor([[[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]]], dtype=torch.float64)
VALUES = torch.tensor([[[[1.0, 2.0, 3.0], [10.0, 20.0, 30.0], [100.0, 200.0, 300.0]]]], dtype=torch.float64)


def test_a_case_worked_by_hand() -> None:
    weights = textbook.attention_weights(QUERY, KEYS, scale=1.0)
    assert weights.flatten().tolist() == pytest.approx([0.42231880, 0.15536241, 0.42231880], abs=1e-8)
    mixed = textbook.attention(QUERY, KEYS, VALUES, scale=1.0)
    # 0.42231880 · 101 + 0.15536241 · 10 = 44.20782290, and twice, three times that
    assert mixed.flatten().tolist() == pytest.approx([44.2078229, 88.4156458, 132.6234687], abs=1e-6)


def test_the_scale_is_one_over_the_root_of_the_key_width() -> None:
    scores = textbook.attention_scores(QUERY, KEYS)
    assert scores.flatten().tolist() == pytest.approx([1 / math.sqrt(2), 0.0, 1 / math.sqrt(2)], abs=1e-12)
    assert textbook.attention_scores(QUERY, KEYS, score="dot").flatten().tolist() == [1.0, 0.0, 1.0]


def test_score_scale_cap_bias_come_in_this_order() -> None:
    bias = torch.tensor([0.5, -math.inf, 0.0], dtype=torch.float64)
    scores = textbook.attention_scores(QUERY, KEYS, scale=3.0, softcap=2.0, bias=bias).flatten()
    capped = 2.0 * math.tanh(3.0 / 2.0)
    assert scores.tolist() == pytest.approx([capped + 0.5, -math.inf, capped])


def test_a_masked_key_gets_nothing_and_the_rest_is_normalised_again() -> None:
    mask = torch.tensor([True, True, False])
    weights = textbook.attention_weights(QUERY, KEYS, scale=1.0, mask=mask).flatten()
    assert weights.tolist() == pytest.approx([math.e / (math.e + 1), 1 / (math.e + 1), 0.0])
    assert weights[2] == 0.0


def test_key_heads_serve_neighbouring_query_heads() -> None:
    q, k, v = queries_keys_values(groups=3)
    output = textbook.attention(q, k, v)
    for head in range(H):
        group = head // 2  # six query heads, three key heads
        alone = textbook.attention(q[:, head : head + 1], k[:, group : group + 1], v[:, group : group + 1])
        assert largest_difference(output[:, head : head + 1], alone) < 1e-14


@pytest.mark.parametrize("kind", ["none", "mask", "bias", "causal", "groups"])
def test_agrees_with_torch_forward_and_backward(kind: str) -> None:
    groups = 2 if kind == "groups" else H
    keys = T if kind == "causal" else S
    ours = cast(queries_keys_values(T, keys, groups=groups), torch.float64)
    theirs = cast(ours, torch.float64)
    allowed = tensor((2, H, T, S), 7) > -0.5
    allowed[..., 0] = True  # torch has no rule of its own for a row that sees nothing
    bias = tensor((2, H, T, S), 8)
    given = {"mask": {"mask": allowed}, "bias": {"bias": bias}, "causal": {"mask": masks.causal()}}.get(kind, {})
    torchs = {"mask": {"attn_mask": allowed}, "bias": {"attn_mask": bias}, "causal": {"is_causal": True}}.get(kind, {})
    output = textbook.attention(*ours, **given)
    wanted = F.scaled_dot_product_attention(*theirs, **torchs, enable_gqa=kind == "groups")
    assert largest_difference(output, wanted) < 1e-13
    for a, b in zip(gradients(output, ours), gradients(wanted, theirs), strict=True):
        assert largest_difference(a, b) < 1e-12


@pytest.mark.parametrize("name", mask_cases())
def test_an_expression_and_its_map_are_the_same_mask(name: str) -> None:
    case = mask_cases()[name]
    q, k, v = queries_keys_values(case.queries, case.keys)
    assert torch.equal(
        textbook.attention(q, k, v, mask=case.expression), textbook.attention(q, k, v, mask=case.written_out())
    )


def test_the_public_maps_are_the_textbooks() -> None:
    q, k, _ = queries_keys_values()
    bias = tensor((H, T, S), 5)
    scores = clearhead.attention_scores(q, k, bias=bias, scale=0.3, softcap=2.0)
    assert torch.equal(scores, textbook.attention_scores(q, k, bias=bias, scale=0.3, softcap=2.0))
    weights = clearhead.attention_weights(q, k, bias=bias, mask=masks.causal(1))
    assert largest_difference(weights, textbook.attention_weights(q, k, bias=bias, mask=masks.causal(1))) == 0
    assert largest_difference(weights.sum(-1), torch.ones(2, H, T)) < 1e-14


def test_a_callable_score_and_a_callable_normaliser_are_used() -> None:
    q, k, v = queries_keys_values()

    def distance(queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        return -torch.cdist(queries, keys)

    def relu(scores: torch.Tensor) -> torch.Tensor:
        return torch.relu(scores)

    weights = torch.relu(-torch.cdist(q, k) + 5.0)
    bias = torch.tensor(5.0, dtype=torch.float64)
    assert (
        largest_difference(clearhead.attention_weights(q, k, score=distance, bias=bias, normalize=relu), weights)
        < 1e-13
    )
    output = clearhead.attention(q, k, v, score=distance, bias=bias, normalize=relu)
    assert largest_difference(output, weights @ v) < 1e-12
