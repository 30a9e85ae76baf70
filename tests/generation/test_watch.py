"""Laws of watching: it changes no answer, it sees every token, and what is given up leaves the others as they are."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from clearhead.generation.batches import generate
from clearhead.generation.settings import DecodingSettings
from clearhead.generation.watch import Step, current_watch, watching
from clearhead.text.tokenizer import END

from .table_model import TableModel

SOURCES = [[5 + (i * k) % 11 for k in range(1, 2 + i % 5)] for i in range(13)]
KINDS = {
    "greedy": DecodingSettings(beam=1, max_ratio=1.5),
    "beam": DecodingSettings(beam=3, n_best=3, max_ratio=1.5),
    "samples": DecodingSettings(sample=True, n_best=2, seed=11, max_ratio=1.5),
}


class Recorder:
    """Writes down what it sees; gives up ``unwanted`` once it has seen ``after`` tokens of them."""

    def __init__(self, unwanted: Collection[int] = (), after: int = 1) -> None:
        self.unwanted, self.after = unwanted, after
        self.seen: dict[tuple[int, int], list[int]] = {}
        self.lengths: dict[int, int] = {}
        self.likeliest: dict[int, list[list[int]]] = {}

    def __call__(self, step: Step) -> Collection[int]:
        for row, number in enumerate(step.numbers):
            newest = step.newest(row)
            assert step.alive()[row] == any(token is not None for token in newest)
            if step.alive()[row]:
                self.lengths[number] = step.length
                self.likeliest.setdefault(number, []).append(step.likeliest(row))
            for alternative, token in enumerate(newest):
                if token is not None:
                    self.seen.setdefault((number, alternative), []).append(token)
        return self.unwanted if step.length >= self.after else ()


@pytest.fixture
def model() -> TableModel:
    return TableModel(53)


@pytest.mark.parametrize("kind", KINDS)
def test_watching_changes_no_answer(model: TableModel, kind: str) -> None:
    alone = generate(model, SOURCES, KINDS[kind])
    with watching(Recorder()):
        assert generate(model, SOURCES, KINDS[kind]) == alone
    assert current_watch() is None


@pytest.mark.parametrize("kind", ["greedy", "samples"])
def test_every_token_is_seen_once_as_it_is_chosen(model: TableModel, kind: str) -> None:
    with watching(recorder := Recorder()):
        answers = generate(model, SOURCES, KINDS[kind], workers=2)
    for number, hypotheses in enumerate(answers):
        written = [[*each.tokens, *([END] if each.finished else [])] for each in hypotheses]
        seen = [tokens for (source, _), tokens in recorder.seen.items() if source == number]
        assert sorted(written) == sorted(seen)


def test_of_a_beam_the_likeliest_hypothesis_of_each_step_is_told(model: TableModel) -> None:
    with watching(recorder := Recorder()):
        generate(model, SOURCES, KINDS["beam"])
    for number, told in recorder.likeliest.items():
        assert [len(tokens) for tokens in told] == list(range(1, recorder.lengths[number] + 1))


@pytest.mark.parametrize("kind", KINDS)
def test_who_is_given_up_ends_at_once_and_leaves_the_others_as_they_are(model: TableModel, kind: str) -> None:
    settings = KINDS[kind].model_copy(update={"min_length": 4})
    alone = generate(model, SOURCES, settings)
    with watching(recorder := Recorder(unwanted={2, 7}, after=2)):
        answers = generate(model, SOURCES, settings)
    assert [answers[number] for number in (2, 7)] == [[], []]
    assert [each for number, each in enumerate(answers) if number not in (2, 7)] == [
        each for number, each in enumerate(alone) if number not in (2, 7)
    ]
    assert recorder.lengths[2] == recorder.lengths[7] == 2


def test_when_nobody_is_wanted_the_search_ends(model: TableModel) -> None:
    settings = DecodingSettings(beam=2, min_length=100, max_length=200)
    with watching(Recorder(unwanted=range(len(SOURCES)), after=3)):
        assert generate(model, SOURCES, settings) == [[] for _ in SOURCES]
    assert max(len(state.rows) for state in model.states) == 3


def test_numbers_are_what_sources_are_called(model: TableModel) -> None:
    numbers = [100 + 3 * place for place in range(len(SOURCES))]
    with watching(recorder := Recorder()):
        generate(model, SOURCES, KINDS["greedy"], numbers=numbers)
    assert sorted(recorder.lengths) == numbers
