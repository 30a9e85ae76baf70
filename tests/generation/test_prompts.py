"""Continuing prompts: as if the whole text had been fed token by token, whatever the batch, and beyond the context."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.generation.hypothesis import Hypothesis
from clearhead.generation.prompts import continue_prompts, prompt_batches
from clearhead.generation.settings import ContinuationSettings
from clearhead.text.tokenizer import END, PAD, START

VOCABULARY, WIDTH = 11, 5
GREEDY = ContinuationSettings(sample=False, max_length=9)


class _State:
    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors  # (N, WIDTH), one hypothesis a row
        self.length = 0

    def reorder(self, parents: Tensor) -> None:
        raise AssertionError("a window makes each hypothesis a sentence of its own")

    def keep(self, sentences: Tensor) -> None:
        self.vectors = self.vectors[sentences]


class ReadingModel:
    """The next token depends on every token before it and their order; ``reads`` counts passes over a prompt."""

    def __init__(self, seed: int = 1) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randn(VOCABULARY, WIDTH, generator=generator, dtype=torch.float64)
        self.recurrence = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
        self.outputs = torch.randn(WIDTH, VOCABULARY, generator=generator, dtype=torch.float64) * 2
        self.outputs[:, END] -= 1
        self.reads: list[tuple[int, ...]] = []

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> _State:
        assert mask.all() and beam == 1 and source.shape[1] < max_length
        self.reads.append(tuple(source.shape))
        state = _State(torch.zeros(source.shape[0], WIDTH, dtype=torch.float64))
        for column in source.unbind(1):
            self.advance(column[:, None], state)
        return state

    def advance(self, tokens: Tensor, state: _State) -> Tensor:
        assert tokens.shape == (len(state.vectors), 1)
        state.length += 1
        state.vectors = torch.tanh(state.vectors @ self.recurrence + self.inputs[tokens[:, 0]])
        return (state.vectors @ self.outputs).float()[:, None]

    def next(self, text: list[int]) -> Tensor:
        """Log-probabilities after ``text``, from nothing."""
        state = _State(torch.zeros(1, WIDTH, dtype=torch.float64))
        for token in text:
            logits = self.advance(torch.tensor([[token]]), state)
        return logits[0, 0].log_softmax(-1)


def by_hand(prompt: list[int], steps: int, context: int) -> list[int]:
    """Greedy, everything recomputed at every step from what the window then holds."""
    model, text, held = ReadingModel(), prompt[-context:], len(prompt[-context:])
    written: list[int] = []
    for _ in range(steps):
        logits = model.next(text[-held:])
        logits[[PAD, START]] = -torch.inf
        token = int(logits.argmax())
        if token == END:
            break
        written.append(token)
        text.append(token)
        held = held + 1 if held < context else context // 2 + 1
    return written


PROMPTS = [[START], [START, 5, 6, 7], [8], [5, 6, 7, 8], [START, 9, 9, 9, 9, 9, 9, 10, 4], [7, 5, 6, 4]]


def plain(found: list[list[Hypothesis]]) -> list[list[tuple[int, ...]]]:
    return [[hypothesis.tokens for hypothesis in each] for each in found]


@pytest.mark.parametrize("context", [2, 3, 5, 8, 64])
def test_greedy_equals_recomputing_everything_inside_and_beyond_the_context(context: int) -> None:
    found = continue_prompts(ReadingModel(), PROMPTS, GREEDY, context=context)
    assert plain(found) == [[tuple(by_hand(prompt, 9, context))] for prompt in PROMPTS]


def test_the_probabilities_are_those_of_the_whole_text() -> None:
    model = ReadingModel()
    for prompt, [best] in zip(PROMPTS, continue_prompts(model, PROMPTS, GREEDY, context=64), strict=True):
        text = list(prompt)
        for token, log_probability in zip([*best.tokens, END], best.token_log_probabilities, strict=False):
            assert log_probability == pytest.approx(float(model.next(text)[token]), abs=1e-5)
            text.append(token)


def test_a_beam_of_one_is_greedy_and_a_wider_one_finds_no_worse() -> None:
    scores = {
        beam: [
            each[0].score
            for each in continue_prompts(
                ReadingModel(), PROMPTS, GREEDY.model_copy(update={"beam": beam}), context=64, workers=1
            )
        ]
        for beam in (1, 4)
    }
    assert sum(scores[4]) >= sum(scores[1])
    beam = GREEDY.model_copy(update={"beam": 3, "n_best": 3})
    for each in continue_prompts(ReadingModel(), PROMPTS, beam, context=4):
        assert len({hypothesis.tokens for hypothesis in each}) == 3


def test_samples_depend_on_the_seed_alone() -> None:
    settings = ContinuationSettings(seed=3, n_best=2, max_length=12)
    alone = [
        continue_prompts(ReadingModel(), [[START]] * place + [prompt], settings, context=4, workers=1)[-1]
        for place, prompt in enumerate(PROMPTS)
    ]
    together = continue_prompts(ReadingModel(), PROMPTS, settings, context=4, workers=2)
    small = continue_prompts(
        ReadingModel(), PROMPTS, settings.model_copy(update={"batch_tokens": 1}), context=4, workers=1
    )
    assert plain(together) == plain(alone) == plain(small)
    other = continue_prompts(ReadingModel(), PROMPTS, settings.model_copy(update={"seed": 4}), context=4)
    assert plain(other) != plain(together)


def test_a_prompt_is_read_in_one_pass_with_others_of_its_length() -> None:
    model = ReadingModel()
    continue_prompts(model, PROMPTS, GREEDY, context=64, workers=1)
    assert sorted(model.reads) == [(1, 8), (2, 0), (3, 3)]


def test_of_a_long_prompt_the_last_tokens_are_read() -> None:
    long = [START, *range(4, 11), 5, 6]
    assert continue_prompts(ReadingModel(), [long], GREEDY, context=4) == continue_prompts(
        ReadingModel(), [long[-4:]], GREEDY, context=4
    )


def test_batches_hold_one_length_and_keep_the_budget() -> None:
    lengths = [3, 1, 3, 3, 2]
    settings = ContinuationSettings(max_length=7, batch_tokens=20)
    assert list(prompt_batches(lengths, settings)) == [[0, 2], [3], [4], [1]]


def test_a_prompt_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one token: the start symbol"):
        continue_prompts(ReadingModel(), [[5], []], GREEDY, context=4)
    with pytest.raises(ConfigurationError, match="room for 2 tokens"):
        continue_prompts(ReadingModel(), [[5]], GREEDY, context=1)


def test_min_length_holds_off_the_end() -> None:
    found = continue_prompts(ReadingModel(), PROMPTS, GREEDY.model_copy(update={"min_length": 9}), context=5)
    assert [len(best.tokens) for [best] in found] == [9] * len(PROMPTS)
