"""The bootstrap: what is known of it, and that pairs are drawn together."""

from __future__ import annotations

import numpy as np
import pytest

from clearhead.errors import ConfigurationError
from clearhead.service import bootstrap
from clearhead.service.bootstrap import Draws
from clearhead.service.trials.trial import percent, ratio
from clearhead.tasks.metrics import bleu_counts, bleu_of_counts, sacre_bleu


def test_a_mean_has_the_spread_that_theory_gives_it() -> None:
    """Of N numbers of deviation s, the middle 95 % of resampled means lie within 1.96 s / √N of the mean."""
    values = np.random.default_rng(0).normal(5.0, 2.0, size=400)
    found = Draws(400, samples=4000).interval(np.stack([values, np.ones(400)], 1), ratio)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_what_is_hard_about_an_example_cancels_out() -> None:
    chance = np.random.default_rng(1)
    hard = chance.normal(0.0, 10.0, size=50)
    baseline = np.stack([hard, np.ones(50)], 1)
    other = np.stack([hard + 0.25, np.ones(50)], 1)
    found = Draws(50).difference(other, baseline, ratio)
    assert (found.value, found.low, found.high) == pytest.approx((0.25, 0.25, 0.25))


def test_draws_are_the_seeds_and_take_as_many_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = np.ones((7, 1))
    assert (Draws(7, samples=30).sums(numbers) == 7).all()
    rows = np.eye(7)
    assert (Draws(7, samples=30, seed=3).sums(rows) == Draws(7, samples=30, seed=3).sums(rows)).all()
    assert (Draws(7, samples=30, seed=3).sums(rows) != Draws(7, samples=30, seed=4).sums(rows)).any()
    whole = Draws(7, samples=30).sums(rows)
    monkeypatch.setattr(bootstrap, "AT_A_TIME", 7)
    assert (Draws(7, samples=30).sums(rows) == whole).all()


def test_a_share_is_scored_after_adding_up() -> None:
    found = Draws(2, samples=200).interval(np.array([[9.0, 10.0], [0.0, 1.0]]), percent)
    assert found.value == pytest.approx(900 / 11)
    assert (found.low, found.high) == (0.0, 90.0)


@pytest.mark.parametrize(("samples", "confidence"), [(0, 0.9), (10, 1.0)])
def test_impossible_settings_are_refused(samples: int, confidence: float) -> None:
    with pytest.raises(ConfigurationError, match="expected at least 1 sample and a confidence between 0 and 1"):
        Draws(3, samples, confidence=confidence)


def test_counts_of_sentences_add_up_to_the_bleu_of_all() -> None:
    hypotheses = ["the cat sat on the mat", "a dog ran away quickly today", "no", "it is what it is , I said"]
    references = ["the cat is on the mat", "a dog ran off quickly today .", "yes", "it is what it is , he said"]
    numbers = bleu_counts(hypotheses, references)
    assert float(bleu_of_counts(numbers.sum(0))) == pytest.approx(sacre_bleu(hypotheses, references), abs=1e-9)
    pair = numbers[[0, 1]].sum(0)
    assert float(bleu_of_counts(pair)) == pytest.approx(sacre_bleu(hypotheses[:2], references[:2]), abs=1e-9)
    assert bleu_of_counts(numbers[None, :2]).shape == (1, 2)
