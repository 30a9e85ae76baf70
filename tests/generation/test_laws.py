"""Laws any search must keep, whatever the model: tried on random recurrent models with a cache to mistreat."""

from __future__ import annotations

import random

import pytest
import torch

from clearhead.errors import RunError
from clearhead.generation.batches import batches, generate, rectangle
from clearhead.generation.beam import beam_of
from clearhead.generation.search import search
from clearhead.generation.settings import DecodingSettings
from clearhead.text.tokenizer import END, PAD, START

from .table_model import TableModel

VOCABULARY = 53


@pytest.fixture(params=[0, 1, 2])
def model(request: pytest.FixtureRequest) -> TableModel:
    return TableModel(VOCABULARY, seed=request.param)


def some_sources(count: int, longest: int = 9) -> list[list[int]]:
    chance = random.Random(5)
    return [[chance.randrange(4, VOCABULARY) for _ in range(chance.randrange(longest + 1))] for _ in range(count)]


SOURCES = some_sources(29)
KINDS = {
    "greedy": DecodingSettings(beam=1, max_ratio=1.5),
    "beam": DecodingSettings(beam=5, n_best=5, max_ratio=1.5),
    "samples": DecodingSettings(sample=True, n_best=3, seed=11, max_ratio=1.5),
    "filtered samples": DecodingSettings(
        sample=True, n_best=2, seed=11, top_k=7, top_p=0.8, temperature=1.3, max_ratio=1.5
    ),
}


def with_(settings: DecodingSettings, **changes: object) -> DecodingSettings:
    return DecodingSettings.model_validate({**settings.model_dump(), **changes})


def test_a_beam_of_one_is_greedy(model: TableModel) -> None:
    settings = DecodingSettings(beam=1)
    greedy = generate(model, SOURCES, settings)
    beam = search(model, rectangle(SOURCES, settings, "cpu"), settings, beam_of(1))
    for left, right in zip(beam, greedy, strict=True):  # batched otherwise, so the last bits of scores may differ
        assert [one.tokens for one in left] == [other.tokens for other in right]
        assert [one.score for one in left] == pytest.approx([other.score for other in right], abs=1e-5)


@pytest.mark.parametrize("change", [{"top_k": 1}, {"temperature": 1e-6}, {"top_p": 1e-9}])
def test_sampling_from_the_best_alone_is_greedy(model: TableModel, change: dict[str, float]) -> None:
    greedy = generate(model, SOURCES, DecodingSettings(beam=1))
    assert generate(model, SOURCES, with_(DecodingSettings(sample=True, seed=1), **change)) == greedy


@pytest.mark.parametrize("kind", KINDS)
def test_results_do_not_depend_on_batches(model: TableModel, kind: str) -> None:
    together = generate(model, SOURCES, KINDS[kind])
    alone = generate(model, SOURCES, with_(KINDS[kind], batch_tokens=1))
    for left, right in zip(together, alone, strict=True):
        assert [one.tokens for one in left] == [other.tokens for other in right]
        assert [one.score for one in left] == pytest.approx([other.score for other in right], abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_results_do_not_depend_on_workers(kind: str) -> None:
    settings = with_(KINDS[kind], batch_tokens=400)
    alone = generate(TableModel(VOCABULARY), SOURCES, settings, workers=1)
    for workers in (2, 5, 100):
        shared = generate(TableModel(VOCABULARY), SOURCES, settings, workers=workers)
        assert [[one.tokens for one in answer] for answer in shared] == [
            [one.tokens for one in answer] for answer in alone
        ]


@pytest.mark.parametrize("kind", ["greedy", "beam"])
def test_answers_follow_their_sources_in_any_order(model: TableModel, kind: str) -> None:
    order = torch.randperm(len(SOURCES)).tolist()
    shuffled = generate(model, [SOURCES[place] for place in order], KINDS[kind])
    straight = generate(model, SOURCES, KINDS[kind])
    for place, answer in zip(order, shuffled, strict=True):
        assert [one.tokens for one in answer] == [other.tokens for other in straight[place]]


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_ranked_and_keep_the_rules(model: TableModel, kind: str) -> None:
    settings = with_(KINDS[kind], max_length=12)
    for source, answer in zip(SOURCES, generate(model, SOURCES, settings), strict=True):
        assert len(answer) == settings.n_best
        assert [one.score for one in answer] == sorted([one.score for one in answer], reverse=True)
        for one in answer:
            assert not {PAD, START, END} & set(one.tokens)
            assert len(one.tokens) + one.finished <= settings.limit(len(source))
            assert len(one.token_log_probabilities) == len(one.tokens) + one.finished
            assert sum(one.token_log_probabilities) == pytest.approx(one.log_probability, abs=1e-4)
        if kind == "beam":
            assert len({(one.tokens, one.finished) for one in answer}) == len(answer)


def test_token_log_probabilities_are_the_models_own(model: TableModel) -> None:
    """The cache was reordered and compacted on the way; fed the answer from the start, the model must agree."""
    for kind in KINDS.values():
        for source, answer in zip(SOURCES, generate(model, SOURCES, kind), strict=True):
            ids = torch.tensor([[*source, END]])
            for one in answer[:2]:
                state = model.begin(ids, ids >= 0, beam=1, max_length=99)
                tokens = [*one.tokens, END] if one.finished else one.tokens
                for fed, token, log in zip([START, *one.tokens], tokens, one.token_log_probabilities, strict=False):
                    logits = model.advance(torch.tensor([[fed]]), state)
                    assert float(logits[0, 0].log_softmax(-1)[token]) == pytest.approx(log, abs=1e-5)


def test_the_same_seed_gives_the_same_samples_and_another_seed_others() -> None:
    model, settings = TableModel(VOCABULARY), DecodingSettings(sample=True, n_best=3, seed=7)
    first, second = generate(model, SOURCES, settings), generate(model, SOURCES, settings)
    assert first == second
    assert generate(model, SOURCES, with_(settings, seed=8)) != first
    unseeded = with_(settings, seed=None)
    assert generate(model, SOURCES, unseeded) != generate(model, SOURCES, unseeded)


def test_equal_sources_get_samples_of_their_own() -> None:
    answers = generate(TableModel(VOCABULARY), [[5, 6]] * 4, with_(KINDS["samples"], n_best=4))
    assert len({one.tokens for answer in answers for one in answer}) == 16


def test_sampling_leaves_the_global_random_state_alone() -> None:
    before = torch.get_rng_state()
    generate(TableModel(VOCABULARY), SOURCES, KINDS["samples"])
    assert torch.equal(torch.get_rng_state(), before)


def test_samples_follow_the_models_distribution() -> None:
    model = TableModel(7, seed=1, sharpness=0.7)
    settings = DecodingSettings(sample=True, n_best=4000, seed=3, max_length=1, batch_tokens=1 << 20)
    [answer] = generate(model, [[4, 5]], settings)
    state = model.begin(torch.tensor([[4, 5, END]]), torch.ones(1, 3, dtype=torch.bool), beam=1, max_length=1)
    logits = model.advance(torch.tensor([[START]]), state)[0, 0]
    logits[[PAD, START]] = -torch.inf
    drawn = torch.zeros(7)
    for one in answer:
        drawn[one.tokens[0] if one.tokens else END] += 1
    # Four standard deviations of a share of 4,000 are at most 0.032.
    assert torch.allclose(drawn / 4000, logits.softmax(-1), atol=0.032)


def test_finished_sentences_leave_the_batch_and_nothing_moves_without_need() -> None:
    model = TableModel(VOCABULARY, seed=1)
    generate(model, SOURCES, with_(KINDS["greedy"], batch_tokens=1 << 20))
    [state] = model.states
    assert state.rows[0] == len(SOURCES) and state.rows[-1] <= len(SOURCES) // 4
    assert state.reorders == 0


def test_no_source_and_empty_sources() -> None:
    model = TableModel(VOCABULARY)
    assert generate(model, [], KINDS["beam"]) == []
    empty = generate(model, [[], []], KINDS["beam"])
    assert empty[0] == empty[1] and len(empty[0]) == 5


@pytest.mark.parametrize("vocabulary", [6, 33, 40])
def test_a_beam_wider_than_the_choices_answers_each_once(vocabulary: int) -> None:
    settings = DecodingSettings(beam=60, n_best=60, max_length=1)
    [answer] = generate(TableModel(vocabulary), [[4, 5]], settings)
    assert len(answer) == len({(one.tokens, one.finished) for one in answer}) == vocabulary - 2


def test_batches_hold_every_source_once_and_keep_the_budget() -> None:
    lengths = [len(source) for source in some_sources(200, longest=60)]
    settings = DecodingSettings(beam=3, batch_tokens=700)
    cut = list(batches(lengths, settings))
    assert sorted(place for batch in cut for place in batch) == list(range(200))
    for batch in cut:
        assert len(batch) == 1 or len(batch) * 3 * (max(lengths[place] for place in batch) + 1) <= 700
    assert [len(batch) for batch in batches([1] * 10, DecodingSettings(), workers=4)] == [3, 3, 3, 1]


def test_a_model_that_answers_nan_is_refused_in_words() -> None:
    model = TableModel(VOCABULARY)
    model.outputs[0, 9] = torch.nan
    with pytest.raises(RunError, match=r"NaN.*damaged"):
        generate(model, SOURCES, KINDS["beam"])
