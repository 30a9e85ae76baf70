"""The laws on the real model: cached = uncached, beam 1 = greedy, padding and company invisible."""

from __future__ import annotations

import random

import pytest
import torch

from clearhead.generation.batches import generate, rectangle
from clearhead.generation.beam import beam_of
from clearhead.generation.hypothesis import Hypothesis
from clearhead.generation.search import search
from clearhead.generation.settings import DecodingSettings
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.text.tokenizer import END, START

VOCABULARY = 101
SIZES = ModelConfig(
    width=24,
    heads=3,
    feedforward=40,
    encoder_layers=2,
    decoder_layers=2,
    max_positions=48,
    source_vocabulary=VOCABULARY,
    target_vocabulary=VOCABULARY,
)
VARIANTS = {
    "pre": {},
    "post, learned positions": {"norm_order": "post", "positions": "learned"},
    "grouped heads, unequal widths": {"heads": 4, "key_value_heads": 2, "key_width": 5, "value_width": 7},
}
SETTINGS = {
    "greedy": DecodingSettings(beam=1, max_ratio=1.0, max_extra=5),
    "beam": DecodingSettings(beam=4, n_best=4, max_ratio=1.0, max_extra=5),
    "samples": DecodingSettings(sample=True, n_best=2, seed=3, max_ratio=1.0, max_extra=5),
}


@pytest.fixture(params=VARIANTS)
def model(request: pytest.FixtureRequest) -> EncoderDecoder:
    """Random weights, made sharper and given a taste for ending, so that lengths differ."""
    config = ModelConfig.model_validate(SIZES.model_dump() | VARIANTS[request.param])
    model = build_model(config, seed=2).eval().requires_grad_(False)
    assert isinstance(model, EncoderDecoder)
    model.output_weight[4:] *= 2.0
    model.output_weight[END] *= 4.0
    return model


def some_sources(count: int) -> list[list[int]]:
    chance = random.Random(7)
    return [[chance.randrange(4, VOCABULARY) for _ in range(chance.randrange(10))] for _ in range(count)]


SOURCES = some_sources(13)


def uncached(model: EncoderDecoder, source: list[int], tokens: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities (T + 1, V) by one pass of teacher forcing over the whole output, no cache, no padding."""
    logits = model.logits(torch.tensor([[*source, END]]), torch.tensor([[START, *tokens]]))
    return logits[0].log_softmax(-1)


def tokens_of(answers: list[list[Hypothesis]]) -> list[list[tuple[int, ...]]]:
    return [[one.tokens for one in answer] for answer in answers]


@pytest.mark.parametrize("kind", SETTINGS)
def test_cached_is_uncached(model: EncoderDecoder, kind: str) -> None:
    """Each reported log-probability, though caches were reordered and repacked, is that of a fresh full pass."""
    lengths = set()
    for source, answer in zip(SOURCES, generate(model, SOURCES, SETTINGS[kind]), strict=True):
        for one in answer:
            written = [*one.tokens, END] if one.finished else list(one.tokens)
            logs = uncached(model, source, one.tokens)[range(len(written)), written]
            assert logs.tolist() == pytest.approx(list(one.token_log_probabilities), abs=1e-5)
            lengths.add(len(written))
    assert len(lengths) > 3, "all outputs are of nearly the same length, so nothing was repacked: sharpen the model"


def test_greedy_is_the_argmax_of_teacher_forcing(model: EncoderDecoder) -> None:
    for source, [best] in zip(SOURCES, generate(model, SOURCES, SETTINGS["greedy"]), strict=True):
        logs = uncached(model, source, best.tokens)
        logs[:, [0, START]] = -torch.inf
        written = [*best.tokens, END] if best.finished else list(best.tokens)
        assert logs.argmax(-1).tolist()[: len(written)] == written


def test_a_beam_of_one_is_greedy(model: EncoderDecoder) -> None:
    settings = SETTINGS["greedy"]
    beam = search(model, rectangle(SOURCES, settings, "cpu"), settings, beam_of(1))
    assert beam == generate(model, SOURCES, settings.model_copy(update={"batch_tokens": 1 << 20}))


@pytest.mark.parametrize("kind", SETTINGS)
def test_padding_and_company_are_invisible(model: EncoderDecoder, kind: str) -> None:
    together = generate(model, SOURCES, SETTINGS[kind])
    alone = generate(model, SOURCES, SETTINGS[kind].model_copy(update={"batch_tokens": 1}))
    assert tokens_of(together) == tokens_of(alone)
    for left, right in zip(together, alone, strict=True):
        assert [one.score for one in left] == pytest.approx([other.score for other in right], abs=1e-5)


def test_an_empty_source_gives_an_answer(model: EncoderDecoder) -> None:
    [[best]] = generate(model, [[]], DecodingSettings(beam=3))
    assert len(best.token_log_probabilities) == len(best.tokens) + best.finished


def test_a_wider_beam_finds_nothing_worse_by_the_models_own_measure(model: EncoderDecoder) -> None:
    """Not a law for each sentence, but over a set a beam of 8 must reach at least the greedy log-probability."""
    settings = DecodingSettings(beam=8, length_penalty=0.0, max_ratio=1.0, max_extra=5)
    wide = sum(answer[0].log_probability for answer in generate(model, SOURCES, settings))
    greedy = sum(answer[0].log_probability for answer in generate(model, SOURCES, SETTINGS["greedy"]))
    assert wide >= greedy - 1e-4


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("kind", SETTINGS)
def test_weights_of_other_precision_give_the_same_scores_within_it(
    model: EncoderDecoder, dtype: torch.dtype, kind: str
) -> None:
    """Forced to one token, so that rounding cannot lead elsewhere."""
    settings = SETTINGS[kind].model_copy(update={"max_length": 1, "n_best": 1, "top_k": 1})
    found = generate(model, SOURCES, settings)
    other = generate(model.to(dtype), SOURCES, settings)
    tolerance = 1e-4 if dtype == torch.float64 else 0.2
    for [one], [same] in zip(found, other, strict=True):
        assert same.log_probability == pytest.approx(one.log_probability, abs=tolerance)
