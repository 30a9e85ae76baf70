"""Special symbols are numbers that come from outside: renumbered, several or forced, the search keeps its laws."""

from __future__ import annotations

import random
from itertools import takewhile

import pytest
import torch
from pydantic import ValidationError

from clearhead.generation.batches import generate, rectangle
from clearhead.generation.prompts import continue_prompts
from clearhead.generation.settings import ContinuationSettings, DecodingSettings
from clearhead.symbols import HOUSE, Symbols

from .table_model import TableModel

VOCABULARY = 31
SOURCES = [[5, 9, 4], [], [11], [30, 29, 28, 27, 26], [7, 7]]


def renumbered(model: TableModel, places: list[int]) -> TableModel:
    """The same model, whose token i now has the number ``places[i]``."""
    other = TableModel(VOCABULARY)
    other.inputs, other.outputs = torch.empty_like(model.inputs), torch.empty_like(model.outputs)
    other.recurrence = model.recurrence
    other.inputs[places], other.outputs[:, places] = model.inputs, model.outputs
    return other


@pytest.mark.parametrize(
    "settings", [DecodingSettings(beam=1), DecodingSettings(beam=4, n_best=4), DecodingSettings(beam=3, min_length=4)]
)
def test_another_numbering_writes_the_same(settings: DecodingSettings) -> None:
    model, places = TableModel(VOCABULARY, seed=3), random.Random(8).sample(range(VOCABULARY), VOCABULARY)
    moved = Symbols(pad=places[0], after=(places[3],), start=places[2], ends=(places[3],), never=(places[0], places[2]))
    plain = generate(model, SOURCES, settings)
    other = generate(renumbered(model, places), [[places[i] for i in row] for row in SOURCES], settings, symbols=moved)
    for rows, found in zip(plain, other, strict=True):
        assert [[places[i] for i in one.tokens] for one in rows] == [list(one.tokens) for one in found]
        assert [one.score for one in rows] == pytest.approx([one.score for one in found], rel=1e-5)


def test_any_of_several_ends_ends() -> None:
    """What is written up to the first of them is what is written where nothing ends."""
    model, settings = TableModel(VOCABULARY, seed=1), DecodingSettings(beam=1, max_length=40, max_ratio=40)
    endless = generate(model, SOURCES, settings, symbols=HOUSE.model_copy(update={"ends": ()}))
    ends = (3, endless[0][0].tokens[4], endless[3][0].tokens[6])
    found = generate(model, SOURCES, settings, symbols=HOUSE.model_copy(update={"ends": ends}))
    assert any(one.finished for (one,) in found)
    for (whole,), (one,) in zip(endless, found, strict=True):
        assert list(one.tokens) == list(takewhile(lambda token: token not in ends, whole.tokens))[: len(one.tokens)]
        assert one.finished == any(token in ends for token in whole.tokens[: len(one.tokens) + 1])


@pytest.mark.parametrize("beam", [1, 3])
def test_what_is_forced_comes_first_and_costs_nothing(beam: int) -> None:
    model, settings = TableModel(VOCABULARY, seed=2), DecodingSettings(beam=beam, max_length=9)
    for one, *_ in generate(model, SOURCES, settings, symbols=_forcing(17, 6)):
        assert one.tokens[:2] == (17, 6)
        assert one.token_log_probabilities[:2] == (0.0, 0.0)
        assert one.log_probability == pytest.approx(sum(one.token_log_probabilities))


def test_after_what_is_forced_the_model_has_read_it() -> None:
    model, settings = TableModel(VOCABULARY, seed=2), DecodingSettings(beam=1, max_length=3)
    ((one,),) = generate(model, [[5, 9]], settings, symbols=_forcing(17, 6))
    state = model.begin(torch.tensor([[5, 9, 3]]), torch.ones(1, 3, dtype=torch.bool), beam=1, max_length=3)
    for token in (2, 17):
        model.advance(torch.tensor([[token]]), state)
    logits = model.advance(torch.tensor([[6]]), state)[0, 0]
    logits[[0, 2]] = -torch.inf
    assert one.tokens == (17, 6, int(logits.argmax()))


def _forcing(*tokens: int) -> Symbols:
    return Symbols(forced=tokens)


def test_a_source_is_surrounded_and_padded_by_its_vocabulary() -> None:
    symbols = Symbols(pad=9, before=(7,), after=(8, 5), start=9, never=())
    rows = rectangle([[1, 2], [], [3]], DecodingSettings(), "cpu", symbols)
    assert rows.ids.tolist() == [[7, 1, 2, 8, 5], [7, 8, 5, 9, 9], [7, 3, 8, 5, 9]]
    assert rows.mask.tolist() == [[True] * 5, [True] * 3 + [False] * 2, [True] * 4 + [False]]


def test_what_is_never_written_is_never_written() -> None:
    model, never = TableModel(VOCABULARY, seed=4), tuple(range(0, VOCABULARY, 2))
    settings = ContinuationSettings(seed=1, max_length=30)
    symbols = Symbols(never=never)
    ((one,),) = continue_prompts(model, [[5, 7]], settings, context=64, symbols=symbols)
    assert one.tokens and not set(one.tokens) & set(never)


def test_a_forced_token_cannot_be_forbidden() -> None:
    with pytest.raises(ValidationError, match="forced: 3 begins every output"):
        Symbols(forced=(3,))


def test_a_foreign_source_lends_what_surrounds_it() -> None:
    both = Symbols(start=11, ends=(12,)).after_reading(Symbols(pad=5, before=(6,), after=(7,)))
    assert (both.pad, both.before, both.after, both.start, both.ends) == (5, (6,), (7,), 11, (12,))
    assert both.largest == 12
