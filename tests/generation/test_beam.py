"""Beam search against an exhaustive search, and on problems small enough to be worked by hand."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from clearhead.generation.batches import generate
from clearhead.generation.hypothesis import length_penalty
from clearhead.generation.settings import DecodingSettings
from clearhead.text.tokenizer import END, START

from .table_model import BigramModel, TableModel

VOCABULARY, LIMIT = 6, 4
WORDS = (1, 4, 5)  # all but padding, start and end
A, B, C = 4, 5, 1


def every_output(model: TableModel, source: list[int], alpha: float) -> list[tuple[float, tuple[int, ...], bool]]:
    """(score, tokens, finished) of everything a search may answer, best first."""
    ids = torch.tensor([[*source, END]])
    outputs = []
    for length in range(LIMIT + 1):
        for tokens in itertools.product(WORDS, repeat=length):
            state = model.begin(ids, ids >= 0, beam=1, max_length=LIMIT)
            fed = torch.tensor([START, *tokens])
            logs = torch.stack([model.advance(token.view(1, 1), state)[0, 0].log_softmax(-1) for token in fed])
            total = sum(float(logs[place, token]) for place, token in enumerate(tokens))
            if length == LIMIT:
                outputs.append((total / length_penalty(LIMIT, alpha), tokens, False))
            else:
                total += float(logs[length, END])
                outputs.append((total / length_penalty(length + 1, alpha), tokens, True))
    return sorted(outputs, reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 0.6, 1.0, 3.0])
@pytest.mark.parametrize("n_best", [1, 7])
def test_a_beam_as_wide_as_the_problem_finds_what_exhaustive_search_finds(alpha: float, n_best: int) -> None:
    model = TableModel(VOCABULARY, seed=3, sharpness=1.0)
    settings = DecodingSettings(beam=3**LIMIT * 4 + 100, length_penalty=alpha, n_best=n_best, max_length=LIMIT)
    sources = [[4, 5, 1], [5], []]
    for source, found in zip(sources, generate(model, sources, settings), strict=True):
        expected = every_output(model, source, alpha)[:n_best]
        assert [hypothesis.tokens for hypothesis in found] == [tokens for _, tokens, _ in expected]
        assert [hypothesis.finished for hypothesis in found] == [finished for _, _, finished in expected]
        assert [hypothesis.score for hypothesis in found] == pytest.approx(
            [score for score, _, _ in expected], abs=1e-5
        )


# After the start: stop 0.4, a 0.5, b 0.1. After a: stop 0.7, a 0.2, b 0.1. After b: stop.
BY_HAND = BigramModel(
    {START: {END: 0.4, A: 0.5, B: 0.1}, A: {END: 0.7, A: 0.2, B: 0.1}, B: {END: 1.0}}, vocabulary=VOCABULARY
)


def test_without_length_penalty_the_short_answer_wins() -> None:
    """p(nothing) = 0.4 against p(a) = 0.5 x 0.7 = 0.35."""
    [[best, second]] = generate(BY_HAND, [[A]], DecodingSettings(beam=2, n_best=2, length_penalty=0.0))
    assert (best.tokens, second.tokens) == ((), (A,))
    assert best.score == best.log_probability == pytest.approx(math.log(0.4), abs=1e-6)
    assert second.score == pytest.approx(math.log(0.35), abs=1e-6)


def test_with_length_penalty_one_the_longer_answer_wins() -> None:
    """log 0.4 / (6/6) = -0.9163 against log 0.35 / (7/6) = -0.8998."""
    [[best, second]] = generate(BY_HAND, [[A]], DecodingSettings(beam=2, n_best=2, length_penalty=1.0))
    assert (best.tokens, second.tokens) == ((A,), ())
    assert best.score == pytest.approx(-0.8998, abs=5e-5)
    assert second.score == pytest.approx(-0.9163, abs=5e-5)
    assert best.token_log_probabilities == pytest.approx([math.log(0.5), math.log(0.7)], abs=1e-6)
    assert best.finished


def test_an_end_symbol_below_the_best_k_finishes_nothing() -> None:
    """With a beam of 1 the start is followed by a (0.5), not by the end symbol (0.4), whatever comes later."""
    [[only]] = generate(BY_HAND, [[A]], DecodingSettings(beam=1, length_penalty=0.0))
    assert only.tokens == (A,)


def test_an_ended_hypothesis_takes_its_slot_with_it() -> None:
    """Of a beam of 2 one ends at once, so only the better of aa (0.3 x 0.45) and ab (0.3 x 0.4) goes on."""
    model = BigramModel(
        {START: {END: 0.5, A: 0.3, B: 0.2}, A: {A: 0.45, B: 0.4, END: 0.15}, B: {END: 1.0}}, vocabulary=VOCABULARY
    )
    settings = DecodingSettings(beam=2, n_best=2, length_penalty=0.0, max_length=3)
    [[best, second]] = generate(model, [[A]], settings)
    assert (best.tokens, second.tokens) == ((), (A, A, A))


def test_the_search_goes_on_while_a_longer_output_could_still_win() -> None:
    """Stopping at once scores log 0.6 = -0.51; ab scores log 0.4 / (8/6)^3 = -0.39, but after a it is still -0.92."""
    model = BigramModel({START: {END: 0.6, A: 0.4}, A: {B: 1.0}, B: {END: 1.0}}, vocabulary=VOCABULARY)
    [[best]] = generate(model, [[A]], DecodingSettings(beam=2, length_penalty=3.0, max_length=5))
    assert best.tokens == (A, B)
    assert best.score == pytest.approx(math.log(0.4) / (8 / 6) ** 3, abs=1e-6)


def test_the_limit_cuts_and_says_so() -> None:
    endless = BigramModel({START: {A: 1.0}, A: {A: 0.9, B: 0.1}, B: {B: 1.0}}, vocabulary=VOCABULARY)
    [[best, second]] = generate(endless, [[A]], DecodingSettings(beam=2, n_best=2, max_length=3))
    assert (best.tokens, second.tokens) == ((A, A, A), (A, B, B))
    assert not best.finished and not second.finished
    assert best.score == pytest.approx(2 * math.log(0.9) / (8 / 6), abs=1e-6)  # against log 0.1 / (8 / 6)
    assert len(best.token_log_probabilities) == 3


def test_the_limit_grows_with_the_source_and_counts_the_end_symbol() -> None:
    endless = BigramModel({START: {A: 1.0}, A: {A: 1.0}}, vocabulary=VOCABULARY)
    settings = DecodingSettings(beam=2, max_ratio=1.5, max_extra=2, max_length=6)
    found = generate(endless, [[], [A], [A] * 2, [A] * 3], settings)
    assert [len(best.tokens) for [best] in found] == [2, 4, 5, 6]


def test_min_length_keeps_the_end_symbol_away() -> None:
    [[best]] = generate(BY_HAND, [[A]], DecodingSettings(beam=3, min_length=3, max_extra=0, max_ratio=0.0))
    assert len(best.tokens) == 3 and best.finished
    [[exact]] = generate(BY_HAND, [[A]], DecodingSettings(beam=3, min_length=3, max_length=3))
    assert len(exact.tokens) == 3 and not exact.finished


def test_a_steady_beam_goes_on_beside_what_has_ended() -> None:
    """Of a beam of 2, a ends (0.4) and takes its place along, so only ab (0.35) goes on; a steady one keeps ac."""
    table = {START: {A: 1.0}, A: {END: 0.4, B: 0.35, C: 0.25}, B: {B: 0.5, A: 0.5}, C: {END: 1.0}}
    model = BigramModel(table, 8)
    shrinking, steady = (
        generate(model, [[A]], DecodingSettings(beam=2, n_best=2, length_penalty=0.0, max_length=4, beam_rule=rule))[0]
        for rule in ("gnmt", "steady")
    )
    assert next(one.tokens for one in shrinking) == (A,)
    assert [one.tokens for one in steady] == [(A,), (A, C)]
    assert (A, C) not in [one.tokens for one in shrinking]
    assert [one.score for one in steady] == pytest.approx([math.log(0.4), math.log(0.25)], rel=1e-5)


def test_a_steady_beam_ranks_by_the_mean() -> None:
    """alpha = 1: log 0.5 over 2 tokens against log 0.3 over 3."""
    table = {START: {A: 1.0}, A: {END: 0.5, B: 0.3, C: 0.2}, B: {END: 1.0}, C: {A: 1.0}}
    [[best, second]] = generate(
        BigramModel(table, 8), [[A]], DecodingSettings(beam=2, n_best=2, max_length=5, beam_rule="steady")
    )
    assert [best.tokens, second.tokens] == [(A,), (A, B)]
    assert [best.score, second.score] == pytest.approx([math.log(0.5) / 2, math.log(0.3) / 3], rel=1e-5)
