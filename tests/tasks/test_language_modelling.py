"""Going on with a text: what a prompt becomes, what a continuation is, and what a loss says about a text."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from clearhead.generation.settings import ContinuationSettings
from clearhead.tasks.language_modelling import LanguageModelling, text_scores
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import Kind, TokenizerSettings
from clearhead.text.tokenizer import END, START, Tokenizer

TEXT = "one two three.\nfour five six.\n\nseven eight nine."
SETTINGS = ContinuationSettings(sample=False, max_length=200)


class _Reading:
    def __init__(self, fed: Tensor) -> None:
        self.fed = fed

    def reorder(self, parents: Tensor) -> None:
        raise AssertionError

    def keep(self, sentences: Tensor) -> None:
        self.fed = self.fed[sentences]


class Reciter:
    """Knows one text by heart and goes on from wherever the last two tokens stand in it."""

    def __init__(self, ids: list[int], size: int) -> None:
        self.size = size
        whole = [START, *ids, END]
        self.after = {tuple(whole[max(0, at - 3) : at + 1]): after for at, after in enumerate(whole[1:])}
        self.prompts: list[list[int]] = []

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> _Reading:
        self.prompts += source.tolist()
        return _Reading(source)

    def advance(self, tokens: Tensor, state: _Reading) -> Tensor:
        state.fed = torch.cat([state.fed, tokens], dim=1)
        following = torch.tensor([self.after.get(tuple(row[-4:]), END) for row in state.fed.tolist()])
        return 30.0 * one_hot(following, self.size).float()[:, None]


def known(kind: Kind) -> tuple[Tokenizer, Reciter]:
    settings = TokenizerSettings(kind=kind, vocabulary=300, min_frequency=1)
    tokenizer = learn_tokenizer(settings, [line + "\n" for line in TEXT.split("\n")])
    return tokenizer, Reciter(tokenizer.encode([TEXT])[0], tokenizer.size)


@pytest.mark.parametrize("kind", ["bpe", "unigram", "characters", "words", "bytes"])
def test_a_text_known_by_heart_is_recited_from_anywhere(kind: Kind) -> None:
    tokenizer, model = known(kind)
    task = LanguageModelling(tokenizer, SETTINGS, context=200, from_start=True)
    prompts = ["", "one two", "one two three.\n", "one two three.\nfour five"]
    for prompt, [answer] in zip(prompts, task.continue_texts(model, prompts), strict=True):
        assert answer.text == TEXT and prompt + answer.continuation == TEXT
        assert answer.finished and answer.unread == 0
        assert answer.score == pytest.approx(0, abs=1e-4)
        assert "".join(answer.pieces) or answer.continuation == ""


def test_only_an_empty_prompt_begins_where_texts_are_one_stream() -> None:
    tokenizer, model = known("bytes")
    task = LanguageModelling(tokenizer, SETTINGS, context=200, from_start=False)
    answers = task.continue_texts(model, ["", "three.\nfour"])
    assert [answer.text for [answer] in answers] == [TEXT, TEXT[TEXT.index("three") :]]
    assert task.prompt([]) == [START] and task.prompt([5, 6]) == [5, 6]


def test_of_a_long_prompt_the_rest_is_counted() -> None:
    tokenizer, model = known("bytes")
    task = LanguageModelling(tokenizer, SETTINGS, context=10, from_start=True)
    [[answer]] = task.continue_texts(model, ["one two three.\nfour"])
    assert answer.unread == len("one two three.\nfour") + 1 - 10
    assert answer.text == TEXT
    assert model.prompts[0] == tokenizer.encode(["three.\nfou"])[0][-9:]


def test_bits_and_perplexity_of_a_case_by_hand() -> None:
    """8 tokens of 2 bits each: 16 bits over 5 bytes, 4 characters."""
    scores = text_scores(2 * math.log(2), 8, characters=4, size=5)
    assert scores == pytest.approx({"perplexity": 4.0, "bits_per_byte": 3.2, "bits_per_character": 4.0})
    assert text_scores(1e6, 8, 4, 5)["perplexity"] == math.inf
