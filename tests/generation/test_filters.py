"""Temperature, top-k and top-p on distributions small enough to know the answer."""

from __future__ import annotations

import torch

from clearhead.generation.chains import draw
from clearhead.generation.filters import filtered, keep_top_k, keep_top_p, with_temperature
from clearhead.generation.settings import DecodingSettings

PROBABILITIES = torch.tensor([[0.1, 0.4, 0.2, 0.3]])


def kept(logits: torch.Tensor) -> list[int]:
    return logits.isfinite().squeeze(0).nonzero().squeeze(1).tolist()


def test_top_k_keeps_the_largest_and_exactly_so_many() -> None:
    assert kept(keep_top_k(PROBABILITIES.log(), 2)) == [1, 3]
    assert len(kept(keep_top_k(torch.zeros(1, 9), 4))) == 4
    assert kept(keep_top_k(PROBABILITIES.log(), 99)) == [0, 1, 2, 3]


def test_top_p_keeps_the_smallest_set_that_has_the_mass() -> None:
    assert kept(keep_top_p(PROBABILITIES.log(), 0.39)) == [1]
    assert kept(keep_top_p(PROBABILITIES.log(), 0.41)) == [1, 3]
    assert kept(keep_top_p(PROBABILITIES.log(), 0.69)) == [1, 3]
    assert kept(keep_top_p(PROBABILITIES.log(), 0.71)) == [1, 2, 3]
    assert kept(keep_top_p(PROBABILITIES.log(), 1e-9)) == [1]


def test_temperature_two_takes_square_roots() -> None:
    expected = PROBABILITIES.sqrt() / PROBABILITIES.sqrt().sum()
    assert torch.allclose(with_temperature(PROBABILITIES.log(), 2.0).softmax(-1), expected)


def test_the_smallest_temperature_leaves_the_best_alone() -> None:
    probabilities = with_temperature(PROBABILITIES.log(), 1e-6).softmax(-1)
    assert probabilities.tolist() == [[0.0, 1.0, 0.0, 0.0]]


def test_filters_work_together_on_any_leading_dimensions() -> None:
    settings = DecodingSettings(sample=True, temperature=0.5, top_k=3, top_p=0.8)
    logits = torch.randn(2, 3, 101)
    # By hand: of the three most probable, those before which less than 0.8 of their mass stands.
    values, tokens = (logits * 2).topk(3)
    mass = values.softmax(-1)
    fewer = torch.cat([torch.ones(2, 3, 1), mass[..., :2].cumsum(-1) < 0.8], -1).bool()
    expected = torch.zeros_like(logits, dtype=torch.bool).scatter_(-1, tokens, fewer)
    assert torch.equal(filtered(logits, settings).isfinite(), expected)


def test_drawing_inverts_the_cumulative_sum() -> None:
    logits = PROBABILITIES.log().expand(6, 4)[:, None]
    uniforms = torch.tensor([0.0, 0.09, 0.11, 0.49, 0.51, 0.99])[:, None]
    assert draw(logits, uniforms).squeeze(1).tolist() == [0, 0, 1, 1, 2, 3]


def test_drawing_never_takes_a_removed_token() -> None:
    logits = torch.full((3, 1, 5), -torch.inf)
    logits[:, :, [1, 3]] = 0.0
    largest = torch.nextafter(torch.tensor(1.0), torch.tensor(0.0)).item()
    assert draw(logits, torch.tensor([[0.0], [0.5], [largest]])).squeeze(1).tolist() == [1, 3, 3]
