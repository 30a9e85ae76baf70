"""Positions inside attention against the formulas of their papers, and that they depend on distance alone."""

from __future__ import annotations

import cmath
import math

import pytest
import torch

from clearhead.mechanism import textbook
from clearhead.mechanism.positions import Alibi, Buckets, ByRule, Rotary, bucket, slopes

B, H, T, D = 2, 3, 7, 6


def queries_keys() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(B, H, T, D, dtype=torch.float64), torch.randn(B, H, T, D, dtype=torch.float64)


def test_rotary_turns_planes_as_complex_numbers() -> None:
    """Equation 34 of arXiv 2104.09864; a plane is columns c and c + D/2."""
    q, _ = queries_keys()
    turn = Rotary(D).at(3, T, q).turn
    assert turn is not None
    turned = turn(q)
    for t in range(T):
        for c in range(D // 2):
            angle = (3 + t) * 10000 ** (-2 * c / D)
            wanted = complex(q[1, 2, t, c], q[1, 2, t, c + D // 2]) * cmath.exp(1j * angle)
            assert turned[1, 2, t, c].item() == pytest.approx(wanted.real, abs=1e-12)
            assert turned[1, 2, t, c + D // 2].item() == pytest.approx(wanted.imag, abs=1e-12)


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    q, k = queries_keys()
    scores = []
    for start in (0, 5, 1000):
        turn = Rotary(D).at(start, T, q).turn
        assert turn is not None
        scores.append(textbook.attention_scores(turn(q), turn(k)))
    torch.testing.assert_close(scores[1], scores[0], rtol=0, atol=1e-11)
    torch.testing.assert_close(scores[2], scores[0], rtol=0, atol=1e-10)


def test_rotary_in_half_precision_is_turned_in_single() -> None:
    q = torch.randn(B, H, T, D)
    single, half = Rotary(D).at(900, T, q).turn, Rotary(D).at(900, T, q.bfloat16()).turn
    assert single is not None
    assert half is not None
    assert half(q.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(half(q.bfloat16()), single(q.bfloat16().float()).bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("heads", "exponents"),
    [
        (8, [1, 2, 3, 4, 5, 6, 7, 8]),  # section 3 of arXiv 2108.12409
        (16, [n / 2 for n in range(1, 17)]),
        (3, [4, 8, 2]),  # of two heads, then the first of four
        (1, [8]),
    ],
)
def test_slopes_of_alibi(heads: int, exponents: list[float]) -> None:
    torch.testing.assert_close(slopes(heads), torch.tensor([2.0**-exponent for exponent in exponents]))


def test_alibi_number_by_number() -> None:
    bias = Alibi(H).at(4, T, torch.zeros(1)).bias
    assert bias is not None
    full, rates = bias.full(T, T + 4), slopes(H)
    for h in range(H):
        for i in range(T):
            for j in range(T + 4):
                assert full[0, h, i, j].item() == pytest.approx(-rates[h].item() * abs(i + 4 - j))


@pytest.mark.parametrize("causal", [False, True])
def test_buckets_of_t5(causal: bool) -> None:
    """Section 2.1 of arXiv 1910.10683: 32 buckets, logarithmic up to a distance of 128, one for all beyond."""
    one_way = 32 if causal else 16
    for distance in range(-300, 301):
        back = max(0, -distance) if causal else abs(distance)
        place = back
        if back >= one_way // 2:
            place = one_way // 2 + int(math.log(back / (one_way // 2)) / math.log(128 / (one_way // 2)) * one_way / 2)
        wanted = min(place, one_way - 1) + (16 if distance > 0 and not causal else 0)
        near = {wanted - 1, wanted, wanted + 1} if back in (16, 32, 64) else {wanted}  # whole steps: rounding decides
        assert bucket(torch.tensor([distance]), causal).item() in near, distance


def test_the_buckets_table_is_learnt_through_the_bias() -> None:
    positions = Buckets(H, causal=True)
    with torch.no_grad():
        positions.table.normal_()
    bias = positions.at(2, 3, torch.zeros(1)).bias
    assert bias is not None
    full = bias.full(3, 5)
    for i in range(3):
        for j in range(5):
            row = bucket(torch.tensor([j - i - 2]), causal=True)[0]
            torch.testing.assert_close(full[0, :, i, j], positions.table[row])
    full.sum().backward()
    assert positions.table.grad is not None
    assert positions.table.grad[0].tolist() == [6.0] * H  # distance 0 and all that lie ahead: 3 + 2 + 1


def test_a_users_rule_gets_distances() -> None:
    bias = (
        ByRule(lambda distances: torch.stack([distances.double(), distances.double() ** 2]), 2)
        .at(1, 2, torch.zeros(1))
        .bias
    )
    assert bias is not None
    full = bias.full(2, 3)
    assert full[0, 0].tolist() == [[-1, 0, 1], [-2, -1, 0]]
    assert full[0, 1].tolist() == [[1, 0, 1], [4, 1, 0]]
