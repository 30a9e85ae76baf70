"""Scheduled sampling: the decays at hand-computed places, and the laws at both ends: no share, and the whole."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from clearhead.data.batch import PairBatch, collate_pairs
from clearhead.mechanism.dropout import drawing_from, seeded
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.symbols import HOUSE, Symbols
from clearhead.text.tokenizer import END, PAD, START
from clearhead.training.sampling_schedule import ScheduledSampling, true_share
from clearhead.training.scheduled_sampling import mix, own_words, scheduled_sampling, two_pass_loss
from clearhead.training.teacher_forcing import sentence_loss, teacher_forcing

V = 13
BATCH = collate_pairs([[5, 6, 7], [8], [9, 10]], [[5, 7, 11, 12], [6], [4, 4, 9]])
ALL = ScheduledSampling(schedule="constant", truth=0.0)
NONE = ScheduledSampling(schedule="constant", truth=1.0)


def model(**changes: Any) -> nn.Module:
    sizes = {"width": 12, "heads": 3, "encoder_layers": 1, "decoder_layers": 2, "feedforward": 10, "dropout": 0.2}
    vocabulary = {"source_vocabulary": V, "target_vocabulary": V}
    return build_model(ModelConfig.model_validate(sizes | vocabulary | changes), seed=3)


def seeded_loss(objective: Any, of: nn.Module, update: int = 1) -> tuple[float, list[Tensor]]:
    of.zero_grad()
    with drawing_from(seeded(7, torch.device("cpu"))):
        loss = objective(of, BATCH, update)
    loss.total.backward()
    return float(loss.total.detach()), [parameter.grad.clone() for parameter in of.parameters()]


# The decays.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"schedule": "constant", "truth": 0.75}, {1: 0.75, 1000: 0.75}),
        ({"schedule": "linear", "k": 100.0}, {1: 1.0, 51: 0.5, 101: 0.0, 500: 0.0}),
        ({"schedule": "linear", "k": 100.0, "truth": 0.25}, {51: 0.5, 101: 0.25}),
        ({"schedule": "exponential", "k": 0.5}, {1: 1.0, 2: 0.5, 4: 0.125}),
        ({"schedule": "inverse_sigmoid", "k": 10.0}, {1: 10 / 11, 11: 10 / (10 + math.e), 100_000: 0.0}),
        ({"schedule": "inverse_sigmoid", "k": 10.0, "begin": 5, "truth": 0.1}, {5: 1.0, 6: 10 / 11, 100_000: 0.1}),
    ],
)
def test_decays_at_places_computed_by_hand(given: dict[str, Any], expected: dict[int, float]) -> None:
    settings = ScheduledSampling.model_validate(given)
    for update, share in expected.items():
        assert true_share(settings, update) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(
    "given", [{"schedule": "linear", "k": 70.0}, {"schedule": "exponential", "k": 0.97}, {"k": 8.0}]
)
def test_decays_never_rise(given: dict[str, Any]) -> None:
    settings = ScheduledSampling.model_validate(given)
    shares = [true_share(settings, update) for update in range(1, 300)]
    assert all(0 <= later <= earlier <= 1 for earlier, later in pairwise(shares))
    assert shares[0] > 0.8 and shares[-1] < 0.01


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"schedule": "constant", "k": 2.0}, "has no k: its share is truth"),
        ({"schedule": "linear"}, "needs k, which says how it falls"),
        ({"schedule": "exponential", "k": 1.0}, "k must be below 1"),
        ({"schedule": "inverse_sigmoid", "k": 0.5}, "k of at least 1"),
        ({"schedule": "cubic", "k": 2.0}, "'constant', 'linear', 'exponential' or 'inverse_sigmoid'"),
        ({"k": 2.0, "truth": 1.5}, "less than or equal to 1"),
    ],
)
def test_impossible_schedules_are_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        ScheduledSampling.model_validate(given)


# The two passes.


def test_a_share_of_nothing_is_teacher_forcing_to_the_bit() -> None:
    one, other = model(), model()
    total, gradients = seeded_loss(teacher_forcing(0.1), one)
    again, others = seeded_loss(scheduled_sampling(NONE, 0.1), other)
    assert total == again
    assert all(torch.equal(a, b) for a, b in zip(gradients, others, strict=True))
    later = ScheduledSampling(schedule="linear", k=1.0, begin=9)
    assert seeded_loss(scheduled_sampling(later, 0.1), other, update=9)[0] == total
    assert seeded_loss(scheduled_sampling(later, 0.1), other, update=11)[0] != total


def test_the_whole_share_reads_only_the_models_words() -> None:
    quiet = model(dropout=0.0)
    with torch.no_grad():
        hidden = quiet.hidden(BATCH.source, BATCH.target_in, mask=BATCH.source_mask)
        logits = hidden @ quiet.output_weight.T
        logits[..., [PAD, START, END]] = -torch.inf
        words = logits.argmax(-1)
        read = BATCH.target_in.clone()
        read[:, 1:] = torch.where(BATCH.target_in[:, 1:] == PAD, PAD, words[:, :-1])
        expected = sentence_loss(
            quiet, PairBatch(BATCH.source, BATCH.source_mask, read, BATCH.target_out, BATCH.target_mask, BATCH.tokens)
        )
    found = two_pass_loss(quiet, BATCH, 1.0, ALL)
    assert not torch.equal(read, BATCH.target_in)
    assert float(found.total) == pytest.approx(float(expected.total), rel=1e-6)
    assert found.count == BATCH.tokens


def test_nothing_is_learnt_through_the_first_pass() -> None:
    """With a share of 1 the gradient is that of reading the words as given."""
    quiet = model(dropout=0.0)
    _, gradients = seeded_loss(scheduled_sampling(ALL, 0.0), quiet)
    quiet.zero_grad()
    with torch.no_grad():
        states = quiet.hidden(BATCH.source, BATCH.target_in, mask=BATCH.source_mask)
        words = own_words(quiet, states.flatten(0, 1), HOUSE, None)
    read = mix(BATCH, words.view(BATCH.target_in.shape), 1.0, seeded(1, torch.device("cpu")))
    given = PairBatch(BATCH.source, BATCH.source_mask, read, BATCH.target_out, BATCH.target_mask, BATCH.tokens)
    sentence_loss(quiet, given).total.backward()
    for found, parameter in zip(gradients, quiet.parameters(), strict=True):
        torch.testing.assert_close(found, parameter.grad)


def test_the_mixture_keeps_start_and_padding_and_its_share() -> None:
    batch = collate_pairs([[5]] * 40, [[5] * 100] + [[5] * 60] * 39)
    words = torch.full_like(batch.target_in, 7)
    mixed = mix(batch, words, 0.3, seeded(1, torch.device("cpu")))
    assert (mixed[:, 0] == START).all() and (mixed[1:, 61:] == PAD).all()
    assert float((mixed[:, 1:61] == 7).float().mean()) == pytest.approx(0.3, abs=0.03)
    assert torch.equal(mix(batch, words, 0.0, seeded(1, torch.device("cpu"))), batch.target_in)


@pytest.mark.parametrize(
    ("symbols", "opened"),
    [
        (Symbols(pad=12, after=(1,), start=12, ends=(1,), never=(12,), silent=()), [12]),
        (Symbols(pad=1, before=(0,), after=(2,), start=2, forced=(0,), ends=(2,), never=(), silent=()), [2, 0]),
    ],
    ids=["padding begins", "two begin"],
)
def test_what_opens_the_input_stays_by_any_symbols(symbols: Symbols, opened: list[int]) -> None:
    """Marian's, whose padding is the start, and BART's, whose start is the end and stands before another."""
    batch = collate_pairs([[5], [6]], [[5, 7, 11], [6]], (symbols, symbols))
    words = torch.full_like(batch.target_in, 9)
    mixed = mix(batch, words, 1.0, seeded(1, torch.device("cpu")))
    assert mixed.tolist() == [[*opened, 9, 9, 9], [*opened, 9, symbols.pad, symbols.pad]]
    quiet = model(dropout=0.0)
    drawn = own_words(quiet, torch.randn(500, 12), symbols, seeded(2, torch.device("cpu")))
    assert not set(drawn.tolist()) & set(symbols.framing) and len(set(drawn.tolist())) == V - len(symbols.framing)


def test_position_t_plus_one_reads_the_word_said_at_t() -> None:
    batch = collate_pairs([[5]], [[4, 5, 6]])
    words = torch.tensor([[10, 11, 12, 9]])
    assert mix(batch, words, 1.0, seeded(1, torch.device("cpu"))).tolist() == [[START, 10, 11, 12]]


def test_drawn_words_follow_the_distribution_and_are_never_special() -> None:
    quiet = model(dropout=0.0)
    hidden = torch.randn(1, 12, generator=torch.Generator().manual_seed(5)).expand(20_000, 12) * 0.5
    drawn = own_words(quiet, hidden, HOUSE, seeded(2, torch.device("cpu")))
    logits = hidden[0] @ quiet.output_weight.T.detach()
    logits[[PAD, START, END]] = -torch.inf
    shares = torch.bincount(drawn, minlength=V) / len(drawn)
    torch.testing.assert_close(shares, logits.softmax(0), atol=0.015, rtol=0)


@pytest.mark.parametrize("choice", ["best", "sample"])
def test_a_step_repeats_to_the_bit_and_depends_on_its_seed(choice: str) -> None:
    settings = ScheduledSampling.model_validate({"schedule": "constant", "truth": 0.5, "choice": choice})
    objective, of = scheduled_sampling(settings, 0.1), model()
    assert seeded_loss(objective, of)[0] == seeded_loss(objective, of)[0]
    with drawing_from(seeded(8, torch.device("cpu"))):
        other = float(objective(of, BATCH, 1).total)
    assert other != seeded_loss(objective, of)[0]
