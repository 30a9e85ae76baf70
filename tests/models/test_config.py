"""Which models can be: what a configuration fills in, and what it refuses with both sides."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from clearhead.models.config import ModelConfig


def test_widths_of_heads_follow_from_the_width() -> None:
    config = ModelConfig(width=24, heads=3)
    assert (config.kv_heads, config.head_width, config.value_head_width) == (3, 8, 8)
    config = ModelConfig(width=24, heads=6, key_value_heads=2, key_width=5, value_width=7)
    assert (config.kv_heads, config.head_width, config.value_head_width) == (2, 5, 7)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"width": 10, "heads": 3}, ["width 10", "3 equal heads", "key_width and value_width"]),
        ({"width": 10, "heads": 3, "key_width": 4}, ["width 10", "3 equal heads"]),
        ({"heads": 4, "key_value_heads": 3}, ["key_value_heads 3", "divide heads 4"]),
        ({"source_vocabulary": 5, "target_vocabulary": 7}, ["one shared vocabulary", "5", "7"]),
        ({"width": 0}, ["width", "greater than or equal to 1"]),
        ({"width": 1 << 40}, ["width", "less than or equal to"]),
        ({"encoder_layers": 10**9}, ["encoder_layers", "less than or equal to"]),
        ({"dropout": 1.0}, ["dropout", "less than 1"]),
        ({"dropout": float("nan")}, ["dropout"]),
        ({"norm_epsilon": 0.0}, ["norm_epsilon", "greater than 0"]),
        ({"norm_order": "middle"}, ["norm_order", "'pre' or 'post'", "middle"]),
        ({"width": "128"}, ["width", "valid integer"]),
        ({"witdh": 128}, ["witdh", "not permitted"]),
        ({"score": "aditive"}, ["score", "'additive'", "aditive"]),
        ({"normalizer": "max"}, ["normalizer", "'entmax15'", "max"]),
        ({"width": 21, "heads": 3, "positions": "rotary"}, ["rotary", "even", "got 7"]),
        ({"score_width": 5}, ["score_width", "scaled_dot", "leave it out"]),
        ({"pooling": "mean"}, ["pooling", '"encoder"', '"encoder-decoder"']),
        ({"input_width": 5, "architecture": "decoder"}, ["input_width", '"encoder"', '"decoder"']),
        ({"ngram_buckets": 9}, ["ngram_buckets", '"encoder"']),
        ({"ngram_buckets": 1, "architecture": "encoder"}, ["ngram_buckets", "at least 2", "got 1"]),
        (
            {"architecture": "encoder", "input_width": 8, "ngram_buckets": 9},
            ["ngram_buckets", "input_width 8", "vectors"],
        ),
        ({"body": "lstm", "positions": "rotary"}, ["positions", '"lstm"', "leave positions = 'rotary' out"]),
        ({"body": "lstm", "score": "additive"}, ["score", '"lstm"']),
        ({"body": "lstm", "window": 3}, ["window", '"lstm"']),
        ({"body": "lstm", "width": 21, "heads": 3}, ["lstm", "even", "got 21"]),
        ({"body": "lstm", "encoder_layers": 0}, ["lstm", "at least one layer"]),
        ({"window": -1}, ["window", "greater than or equal to 0"]),
    ],
)
def test_impossible_models_are_refused(wrong: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ValidationError) as caught:
        ModelConfig(**wrong)
    for word in words:
        assert word in str(caught.value)


def test_heads_need_not_divide_the_width_when_both_widths_are_given() -> None:
    assert ModelConfig(width=10, heads=3, key_width=4, value_width=5).head_width == 4


def test_vocabularies_may_differ_where_only_one_is_used() -> None:
    for architecture in ("encoder", "decoder"):
        ModelConfig(architecture=architecture, source_vocabulary=5, target_vocabulary=7)


def test_a_configuration_survives_being_written_and_read() -> None:
    config = ModelConfig(architecture="encoder", body="lstm", pooling="mean", classes=7)
    assert ModelConfig.model_validate(config.model_dump()) == config


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(ValidationError):
        ModelConfig().width = 3  # type: ignore[misc]
