"""RoBERTa (Liu et al. 2019, arXiv 1907.11692): BERT's blocks, with places counted over real tokens only.

The table of positions has rows in front that belong to no place: one more than the number of the padding symbol. The
head of masked language modelling always has the exact GELU.
"""

from __future__ import annotations

from typing import Any

from clearhead.errors import ConfigurationError
from clearhead.models.config import ModelConfig
from clearhead.models.details import HeadSettings, InputSettings
from clearhead.pretrained.bert import EACH, MASKED, STATES, WHOLE, described, encoder_rows, encoder_settings
from clearhead.pretrained.family import Contents, Family
from clearhead.pretrained.published import Published
from clearhead.pretrained.rows import Row, linear, norm, vector

USES = {
    "RobertaModel": STATES,
    "RobertaForMaskedLM": MASKED,
    "RobertaForSequenceClassification": WHOLE,
    "RobertaForTokenClassification": EACH,
}


def configure(settings: Published, contents: Contents) -> ModelConfig:
    """From RoBERTa's settings."""
    use = USES[contents.architecture]
    fields = encoder_settings(settings, contents, use)
    first = settings.count("pad_token_id", 1) + 1
    table = settings.size("max_position_embeddings", 512)
    if table <= first:
        raise ConfigurationError(
            f"{settings.where}: max_position_embeddings counts {first} rows in front that are no places, so it must be "
            f"above {first}, got {table}"
        )
    fields["max_positions"] = table - first
    fields["input"] = InputSettings(
        scale=1.0,
        norm=True,
        segments=settings.size("type_vocab_size", 2),
        first_position=first,
        skip_padding=True,
    )
    if use == MASKED:
        fields["head"] = HeadSettings(kind="vocabulary", activation="gelu")
    return ModelConfig(**fields)


def describe(config: ModelConfig) -> dict[str, Any]:
    """RoBERTa's settings of a configuration."""
    first = config.input.first_position
    return described(config, USES) | {
        "max_position_embeddings": config.max_positions + first,
        "pad_token_id": max(0, first - 1),
    }


def rows(config: ModelConfig) -> list[Row]:
    """All tensors."""
    table = encoder_rows(config, ROBERTA.inner)
    if config.head.kind == "classes" and config.pooling != "none":
        return table + linear("pooling.dense", "classifier.dense") + linear("output", "classifier.out_proj")
    if config.head.kind == "classes":
        return table + linear("output", "classifier")
    if config.pooling == "first_tanh":
        table += linear("pooling.dense", "roberta.pooler.dense")
    of_head = [
        *linear("transform.dense", "lm_head.dense"),
        *norm("transform.norm", "lm_head.layer_norm"),
        *(linear("output", "lm_head.decoder") if config.tie == "none" else vector("output", "lm_head")),
    ]
    return table + (of_head if config.head.kind == "vocabulary" else [])


ROBERTA = Family(
    name="roberta",
    kind="encoder",
    architectures=tuple(USES),
    configure=configure,
    describe=describe,
    rows=rows,
    inner="roberta.",
    inert=frozenset({"classifier_dropout"}),
    unused=(r".*embeddings\.position_ids", r"lm_head\..*", r".*pooler\..*"),
    copies={
        "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight",
        "lm_head.decoder.bias": "lm_head.bias",
    },
)
