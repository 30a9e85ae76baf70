"""The task of translating: what it promises about lines, blanks, lengths and scores, with a model that repeats."""

from __future__ import annotations

import pytest
import torch

from clearhead.errors import DataError
from clearhead.generation.settings import DecodingSettings
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.tasks.translation import BLANK, Report, Translation, bounded, measure, one_line
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import TokenizerSettings

from .echo import Echo

LINES = ["a small house", "the house is red", "is it small ?", "red"]


@pytest.fixture(scope="module")
def task() -> Translation:
    settings = TokenizerSettings(kind="words", min_frequency=1)
    tokenizer = learn_tokenizer(settings, LINES)
    return Translation(tokenizer, tokenizer, DecodingSettings(beam=2))


@pytest.fixture
def echo(task: Translation) -> Echo:
    return Echo(task.target.size)


def test_as_many_answers_as_lines_in_their_order(task: Translation, echo: Echo) -> None:
    texts = [*LINES, "", " \t ", *reversed(LINES)]
    answers = task.translate(echo, texts)
    assert [answer[0].text for answer in answers] == [text.strip() for text in texts]


def test_blank_lines_stay_blank_and_never_reach_the_model(task: Translation, echo: Echo) -> None:
    answers = task.translate(echo, ["", "  "], DecodingSettings(beam=3, n_best=3))
    assert answers == [[BLANK] * 3] * 2
    assert echo.asked == []
    assert task.translate(echo, []) == []


def test_a_translation_says_how_it_came_about(task: Translation, echo: Echo) -> None:
    [[best, second]] = task.translate(echo, ["red house"], DecodingSettings(beam=2, n_best=2))
    assert best.pieces == tuple(task.target.pieces(task.target.encode(["red house"])[0]))
    assert len(best.token_log_probabilities) == len(best.pieces) + 1
    assert best.score > second.score
    assert best.log_probability == pytest.approx(sum(best.token_log_probabilities), abs=1e-5)
    assert best.finished and not best.truncated


def test_what_the_model_has_no_position_for_is_cut_and_marked(task: Translation) -> None:
    echo = Echo(task.target.size, positions=4)
    [[whole], [cut]] = task.translate(echo, ["red small house", "red small house is red"])
    assert (whole.text, whole.truncated) == ("red small house", False)
    assert (cut.text, cut.truncated) == ("red small house", True)


def test_the_models_positions_bound_the_output_too() -> None:
    settings = DecodingSettings(max_length=100, min_length=50, beam=3)
    assert bounded(settings, 100) is settings
    assert (bounded(settings, 40).max_length, bounded(settings, 40).min_length) == (40, 40)
    assert bounded(settings, 60).beam == 3


def test_line_ends_in_an_output_become_spaces() -> None:
    assert one_line("a\nb\r\nc\rd\u2028e") == "a b c d\u2028e"


@pytest.mark.parametrize("mode", [True, False])
def test_the_model_is_in_evaluation_meanwhile_and_as_it_was_afterwards(
    task: Translation, echo: Echo, mode: bool
) -> None:
    echo.training = mode
    task.translate(echo, LINES)
    assert echo.modes == [False]
    assert echo.training is mode


def measured(task: Translation, echo: Echo, pairs: list[tuple[str, str]], **options: str) -> Report:
    best = [answer[0] for answer in task.translate(echo, [source for source, _ in pairs])]
    return measure(best, [reference for _, reference in pairs], **options)


def test_measuring_counts_and_measures(task: Translation) -> None:
    echo = Echo(task.target.size, positions=5)
    pairs = [(LINES[0], LINES[0]), (LINES[1], LINES[1]), ("red red red red red", "red"), ("", "")]
    found = measured(task, echo, pairs)
    assert found["exact_match"] == 75.0
    assert (found["sentences"], found["truncated"], found["unfinished"]) == (4, 1, 0)
    assert 0 < found["bleu"] < 100 and 0 < found["chrf"] < 100
    assert "tok:13a" in str(found["bleu_signature"]) and "smooth:none" in str(found["multi_bleu_lowercased_signature"])
    with pytest.raises(DataError, match="no sentences"):
        measure([], [])


def test_measuring_can_cut_chinese(task: Translation, echo: Echo) -> None:
    assert "tok:zh" in str(measured(task, echo, [("red", "red")], tokenize="zh")["bleu_signature"])


def test_a_real_model_answers_every_line_the_same_alone_and_in_company(task: Translation) -> None:
    sizes = ModelConfig(width=8, heads=2, feedforward=16, encoder_layers=1, decoder_layers=1, dropout=0.5)
    vocabulary = {"source_vocabulary": task.source.size, "target_vocabulary": task.target.size}
    model = build_model(sizes.model_copy(update=vocabulary), seed=1)
    together = task.translate(model, LINES)
    alone = [task.translate(model, [line])[0] for line in LINES]
    assert [answer[0].text for answer in together] == [answer[0].text for answer in alone]
    scores = [[answer[0].score for answer in answers] for answers in (together, alone)]
    assert torch.allclose(torch.tensor(scores[0]), torch.tensor(scores[1]), atol=1e-5)
