"""What the tasks of classifying promise about order, blanks, long texts, thresholds, with a model of one rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from clearhead.data.text_reader import WholeWordReader
from clearhead.tasks.classification import Classification, log_likelihood, marked
from clearhead.text.tokenizer import START
from clearhead.text.word_settings import WordInput
from clearhead.text.words import WordVocabulary

WORDS = ["red", "green", "blue"]
READER = WholeWordReader(WordVocabulary(WORDS, WordInput(buckets=0)))
NAMES = ("RED", "GREEN", "BLUE")


class Counting:
    """Scores of a label: twice how often its word occurs, less three."""

    def __init__(self) -> None:
        self.training, self.modes, self.asked = True, list[bool](), 0
        self.output_weight = torch.zeros(3, 1)

    def train(self, mode: bool = True) -> None:
        self.training = mode

    def logits(self, inputs: Tensor, *, mask: Tensor | None = None, ngrams: Tensor | None = None) -> Tensor:
        assert mask is not None and (inputs[:, 0] == START).all() and ngrams is None
        self.modes.append(self.training)
        self.asked += len(inputs)
        return torch.stack([((inputs == READER.vocabulary.id(word)) & mask).sum(1) for word in WORDS], -1) * 2.0 - 3.0


def test_answers_stand_in_order_and_blanks_are_not_asked() -> None:
    task, model = Classification(NAMES, READER, 10), Counting()
    texts = ["blue", "", "red red blue", " \n", "green " * 5]
    answers = task.classify(model, texts)
    assert [answer.labels for answer in answers] == [("BLUE",), (), ("RED",), (), ("GREEN",)]
    assert model.asked == 3 and model.modes == [False] and model.training
    assert answers[1].probabilities == () and sum(answers[0].probabilities) == pytest.approx(1.0)


def test_what_is_too_long_loses_its_end_and_says_so() -> None:
    task = Classification(NAMES, READER, 4)
    fits, cut = task.classify(Counting(), ["red green green", "red red green green green"])
    assert (fits.labels, fits.truncated) == (("GREEN",), False)
    assert (cut.labels, cut.truncated) == (("RED",), True)


def test_thresholds_give_any_number_of_labels_likeliest_first() -> None:
    task = Classification(NAMES, READER, 20, thresholds=(0.5, 0.5, 0.9))
    texts = ["red red green green green blue blue", "red", "yellow"]
    assert [answer.labels for answer in task.classify(Counting(), texts)] == [("GREEN", "RED"), (), ()]
    assert task.classify(Counting(), ["red"])[0].probabilities[0] == pytest.approx(1 / (1 + math.e))
    at_least = Classification(NAMES, READER, 20, thresholds=(0.5, 0.5, 0.9), at_least_one=True)
    assert [answer.labels for answer in at_least.classify(Counting(), texts[1:])] == [("RED",), ("RED",)]


def test_no_text_no_answer() -> None:
    assert Classification(NAMES, READER, 5).classify(Counting(), []) == []


def test_a_text_is_answered_the_same_alone_and_in_company() -> None:
    task, texts = Classification(NAMES, READER, 10), ["red", "red green blue", "blue " * 9, "green red"]
    together = task.classify(Counting(), texts)
    assert together == [task.classify(Counting(), [text])[0] for text in texts]


def test_the_likelihood_leaves_out_what_training_never_saw() -> None:
    logits = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
    found = log_likelihood(logits, [("RED",), ("PINK",)], NAMES, sets=False)
    assert found == pytest.approx(-math.log(0.5))
    assert log_likelihood(logits, [("PINK",), ("PINK",)], NAMES, sets=False) is None
    assert log_likelihood(np.zeros((2, 3)), [("RED",), ()], NAMES, sets=True) == pytest.approx(3 * math.log(2))


def test_marks_are_rows_of_labels() -> None:
    assert marked([("BLUE", "PINK"), ()], NAMES).tolist() == [[False, False, True], [False] * 3]
