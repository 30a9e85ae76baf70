"""BERT (Devlin et al. 2018, arXiv 1810.04805): a post-norm encoder with learned positions and segments.

As the bare encoder, pooled as BERT does where the file has those weights, with the head of masked language modelling,
or with a linear map to classes, of the whole or of each token. RoBERTa has the same blocks and takes them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clearhead.models.config import ModelConfig
from clearhead.models.details import HeadSettings, InputSettings
from clearhead.pretrained.family import PUBLISHED_ACTIVATIONS, Contents, Family, activation, known_activation
from clearhead.pretrained.published import Published
from clearhead.pretrained.rows import Row, linear, matrix, norm, projected, vector

STATES, MASKED, WHOLE, EACH = "states", "masked", "whole", "each"  # what a model is for
HEADS = {
    STATES: HeadSettings(kind="none"),
    MASKED: HeadSettings(kind="vocabulary"),
    WHOLE: HeadSettings(),
    EACH: HeadSettings(),
}
BERT_USES = {
    "BertModel": STATES,
    "BertForMaskedLM": MASKED,
    "BertForPreTraining": MASKED,
    "BertForSequenceClassification": WHOLE,
    "BertForTokenClassification": EACH,
}


def encoder_settings(settings: Published, contents: Contents, use: str) -> dict[str, Any]:
    """What BERT and RoBERTa read alike, as fields of a configuration; ``use`` is what the model is for."""
    settings.must("position_embedding_type", "absolute", "positions relative to each other make it another model")
    vocabulary = settings.size("vocab_size")
    tied = settings.flag("tie_word_embeddings", True)
    act = activation(settings, "hidden_act", "gelu")
    return {
        "architecture": "encoder",
        "width": settings.size("hidden_size"),
        "encoder_layers": settings.count("num_hidden_layers"),
        "heads": settings.size("num_attention_heads"),
        "feedforward": settings.size("intermediate_size"),
        "activation": act,
        "norm_order": "post",
        "norm_epsilon": settings.number("layer_norm_eps", 1e-12),
        "positions": "learned",
        "dropout": settings.share("hidden_dropout_prob", 0.1),
        "attention_dropout": settings.share("attention_probs_dropout_prob", 0.1),
        "pooling": "first_tanh" if use == WHOLE or (use == STATES and contents.has("pooler.dense.weight")) else "none",
        "head": HEADS[use].model_copy(update={"activation": act} if use == MASKED else {}),
        "tie": "all" if tied or use != MASKED else "none",
        "classes": classes(settings) if use in (WHOLE, EACH) else 2,
        "initialisation": "normal",
        "source_vocabulary": vocabulary,
        "target_vocabulary": vocabulary,
    }


def configure(settings: Published, contents: Contents) -> ModelConfig:
    """From BERT's settings."""
    fields = encoder_settings(settings, contents, BERT_USES[contents.architecture])
    fields["max_positions"] = settings.size("max_position_embeddings", 512)
    fields["input"] = InputSettings(scale=1.0, norm=True, segments=settings.size("type_vocab_size", 2))
    return ModelConfig(**fields)


def classes(settings: Published) -> int:
    """How many classes there are: as many as have names, or as is said."""
    named = settings.table("id2label")
    return len(named.settings) if named is not None and named.settings else settings.size("num_labels", 2)


def use_of(config: ModelConfig) -> str:
    """What a model is for, by its configuration."""
    if config.head.kind == "classes":
        return EACH if config.pooling == "none" else WHOLE
    return MASKED if config.head.kind == "vocabulary" else STATES


def described(config: ModelConfig, uses: Mapping[str, str]) -> dict[str, Any]:
    """What BERT and RoBERTa say alike; ``uses`` are those of their published classes."""
    use = use_of(config)
    return names_of_classes(config) | {
        "architectures": [next(name for name in uses if uses[name] == use)],
        "vocab_size": config.source_vocabulary,
        "hidden_size": config.width,
        "num_hidden_layers": config.encoder_layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feedforward,
        "hidden_act": known_activation(config, PUBLISHED_ACTIVATIONS),
        "layer_norm_eps": config.norm_epsilon,
        "type_vocab_size": max(1, config.input.segments),  # there is no such model without any
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "tie_word_embeddings": config.tie != "none",
    }


def describe(config: ModelConfig) -> dict[str, Any]:
    """BERT's settings of a configuration."""
    return described(config, BERT_USES) | {"max_position_embeddings": config.max_positions}


def names_of_classes(config: ModelConfig) -> dict[str, Any]:
    """Names of classes, where there are classes; who has better ones puts them in their place."""
    if config.head.kind != "classes":
        return {}
    names = {str(number): f"LABEL_{number}" for number in range(config.classes)}
    return {"id2label": names, "label2id": {name: int(number) for number, name in names.items()}}


def encoder_rows(config: ModelConfig, inner: str) -> list[Row]:
    """The tensors of the encoder and its pooling under names that begin with ``inner``."""
    into, found = "encoder.embedding", f"{inner}embeddings"
    rows = [
        *matrix(f"{into}.tokens", f"{found}.word_embeddings"),
        Row(f"{into}.positions.weight", (f"{found}.position_embeddings.weight",)),
        *matrix(f"{into}.segments", f"{found}.token_type_embeddings"),
        *norm(f"{into}.norm", f"{found}.LayerNorm"),
    ]
    for number in range(config.encoder_layers):
        rows += block_rows(config, f"encoder.blocks.{number}", f"{inner}encoder.layer.{number}")
    return rows


def block_rows(config: ModelConfig, ours: str, theirs: str) -> list[Row]:
    """The tensors of one block."""
    parts = [f"{theirs}.attention.self.{part}" for part in ("query", "key", "value")]
    return [
        *linear(f"{ours}.self_attention.query_key_value", *parts, rows=projected(config)),
        *linear(f"{ours}.self_attention.output", f"{theirs}.attention.output.dense"),
        *norm(f"{ours}.around_self.norm", f"{theirs}.attention.output.LayerNorm"),
        *linear(f"{ours}.feedforward.into", f"{theirs}.intermediate.dense"),
        *linear(f"{ours}.feedforward.out", f"{theirs}.output.dense"),
        *norm(f"{ours}.around_feedforward.norm", f"{theirs}.output.LayerNorm"),
    ]


def rows(config: ModelConfig) -> list[Row]:
    """All tensors."""
    head = "cls.predictions"
    table = encoder_rows(config, BERT.inner)
    if config.pooling == "first_tanh":
        table += linear("pooling.dense", "bert.pooler.dense")
    if config.head.kind == "classes":
        return table + linear("output", "classifier")
    of_head = [
        *linear("transform.dense", f"{head}.transform.dense"),
        *norm("transform.norm", f"{head}.transform.LayerNorm"),
        *(linear("output", f"{head}.decoder") if config.tie == "none" else vector("output", head)),
    ]
    return table + (of_head if config.head.kind == "vocabulary" else [])


BERT = Family(
    name="bert",
    kind="encoder",
    architectures=tuple(BERT_USES),
    configure=configure,
    describe=describe,
    rows=rows,
    inner="bert.",
    inert=frozenset(
        "classifier_dropout directionality pooler_fc_size pooler_num_attention_heads pooler_num_fc_layers "
        "pooler_size_per_head pooler_type".split()
    ),
    unused=(r".*embeddings\.position_ids", r"cls\..*", r".*pooler\..*"),
    copies={
        "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
)
