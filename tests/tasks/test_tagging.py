"""The task of tagging, with a model that knows its answers: order, parts, unknown words, tags never seen."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from clearhead.data.word_table import PieceReader, WholeWordReader, WordReader
from clearhead.errors import DataError
from clearhead.tasks.tagging import Tagging
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import TokenizerSettings
from clearhead.text.word_settings import WordInput
from clearhead.text.words import WordVocabulary

WORDS = ["one", "two", "three", "four"]
NAMES = ("ODD", "EVEN", "WHAT")


class Parity:
    """Says of each word whether its id is odd, is sure of it (logit 5), and of unknown words nothing."""

    training = True
    output_weight = torch.zeros(1)

    def __init__(self) -> None:
        self.longest = 0

    def train(self, mode: bool = True) -> None:
        self.training = mode

    def logits(
        self, inputs: Tensor, *, mask: Tensor | None = None, ngrams: Tensor | None = None, words: Tensor | None = None
    ) -> Tensor:
        assert not self.training and mask is not None
        self.longest = max(self.longest, inputs.shape[1])
        if words is not None:  # the first piece stands for the word
            count = int(words.max()) + 1
            first = torch.stack([(words == number).int().argmax(1) for number in range(count)], 1)
            inputs = inputs.gather(1, first)
        kinds = torch.where(inputs == 1, 2, inputs % 2)
        return 5.0 * torch.nn.functional.one_hot(kinds, 3).double()


def tagging(longest: int = 8, reader: WordReader | None = None, *, marks_spans: bool = False) -> Tagging:
    reader = reader or WholeWordReader(WordVocabulary(WORDS, WordInput(buckets=7)))
    return Tagging(reader, NAMES, longest, frozenset(WORDS), marks_spans)


def test_tags_come_in_the_order_of_sentences_and_words() -> None:
    model = Parity()
    found = tagging().tag(model, [["two", "one", "nine"], [], ["one"], ["four"] * 5])
    assert [each.tags for each in found] == [("EVEN", "ODD", "WHAT"), (), ("ODD",), ("EVEN",) * 5]
    assert found[0].words == ("two", "one", "nine")
    sure = math.exp(5) / (math.exp(5) + 2)
    assert found[0].probabilities == pytest.approx([sure] * 3)
    assert model.training


def test_a_long_sentence_is_read_in_parts_and_loses_nothing() -> None:
    model, words = Parity(), WORDS * 5
    (found,) = tagging(longest=6).tag(model, [words])
    assert found.tags == ("ODD", "EVEN") * 10
    assert (found.parts, model.longest) == (4, 5)


def test_pieces_are_read_back_as_words() -> None:
    tokenizer = learn_tokenizer(TokenizerSettings(kind="words", min_frequency=1), ["a b c d"])
    reader = PieceReader(tokenizer)
    found = tagging(reader=reader).tag(Parity(), [["a b", "c", "d a b c"]])
    ids = [row[0] for row in tokenizer.encode(["a", "c", "d"])]
    assert found[0].tags == tuple(NAMES[number % 2] for number in ids)


def test_scores_tell_unknown_words_and_tags_never_seen() -> None:
    task, model = tagging(), Parity()
    sentences, wanted = [["one", "nine"], ["two", "ten"]], [["ODD", "WHAT"], ["ODD", "NEW"]]
    found, loss = task.tag_and_measure(model, sentences, wanted)
    scores, tables = task.measure(found, wanted)
    assert scores["accuracy"] == 50.0
    assert scores["unknown_accuracy"] == 50.0
    assert tables["unseen_tags"] == {"NEW": 1}
    assert tables["tags"]["ODD"] == {"precision": 100.0, "recall": 50.0, "f1": pytest.approx(200 / 3), "support": 2}
    # ODD 2/3, NEW 0, EVEN 0, WHAT 2/3
    assert scores["macro_f1"] == pytest.approx(100 / 3)
    right, wrong = math.log(1 + 2 * math.exp(-5)), math.log(2 + math.exp(5))
    assert loss == pytest.approx((2 * right + wrong) / 3)


def test_no_unknown_word_no_score_of_them() -> None:
    task = tagging()
    scores, _ = task.measure(task.tag(Parity(), [["one"]]), [["ODD"]])
    assert scores == {"accuracy": 100.0, "macro_f1": 100.0}


def test_data_with_other_tags_is_refused() -> None:
    with pytest.raises(DataError, match=r"none of the tags of this data, such as 'NN'; expected tags such as 'ODD'"):
        tagging().tag_and_measure(Parity(), [["one"]], [["NN"]])


def test_spans_are_scored_where_tags_mark_them() -> None:
    task = Tagging(tagging().reader, ("B-X", "I-X", "O"), 8, frozenset(), True)
    (found,) = task.tag(Parity(), [["one", "two", "nine", "one"]])
    assert found.tags == ("B-X", "I-X", "O", "B-X")
    assert task.spans(found) == [
        {"type": "X", "start": 0, "stop": 2, "text": "one two"},
        {"type": "X", "start": 3, "stop": 4, "text": "one"},
    ]
    scores, tables = task.measure([found], [["B-X", "I-X", "O", "O"]])
    assert (scores["span_precision"], scores["span_recall"]) == (50.0, 100.0)
    assert tables["spans"]["X"]["support"] == 1
