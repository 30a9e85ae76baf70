"""DistilBERT (Sanh et al. 2019, arXiv 1910.01108): BERT's encoder with half of the layers, no segments and no pooling.

As the bare encoder, with the head of masked language modelling, or with a linear map from each token to classes. Its
classifier of whole texts pools with a rectifier, which is not had here.
"""

from __future__ import annotations

from typing import Any

from clearhead.models.config import ModelConfig
from clearhead.models.details import InputSettings
from clearhead.pretrained.bert import EACH, HEADS, MASKED, STATES, classes, names_of_classes, use_of
from clearhead.pretrained.family import PUBLISHED_ACTIVATIONS, Contents, Family, activation, known_activation
from clearhead.pretrained.published import Published
from clearhead.pretrained.rows import Row, linear, matrix, norm, projected, vector

USES = {"DistilBertModel": STATES, "DistilBertForMaskedLM": MASKED, "DistilBertForTokenClassification": EACH}
EPSILON = 1e-12  # of every norm; the family has no setting for it


def configure(settings: Published, contents: Contents) -> ModelConfig:
    """From DistilBERT's settings. Sinusoidal positions are numbers in the file, so they are read as learned ones."""
    settings.flag("sinusoidal_pos_embds", False)
    use = USES[contents.architecture]
    vocabulary, act = settings.size("vocab_size"), activation(settings, "activation", "gelu")
    tied = settings.flag("tie_word_embeddings", True)
    return ModelConfig(
        architecture="encoder",
        width=settings.size("dim"),
        encoder_layers=settings.count("n_layers"),
        heads=settings.size("n_heads"),
        feedforward=settings.size("hidden_dim"),
        activation=act,
        norm_order="post",
        norm_epsilon=EPSILON,
        positions="learned",
        max_positions=settings.size("max_position_embeddings", 512),
        input=InputSettings(scale=1.0, norm=True),
        dropout=settings.share("dropout", 0.1),
        attention_dropout=settings.share("attention_dropout", 0.1),
        head=HEADS[use].model_copy(update={"activation": act} if use == MASKED else {}),
        tie="all" if tied or use != MASKED else "none",
        classes=classes(settings) if use == EACH else 2,
        initialisation="normal",
        source_vocabulary=vocabulary,
        target_vocabulary=vocabulary,
    )


def describe(config: ModelConfig) -> dict[str, Any]:
    """DistilBERT's settings of a configuration."""
    use = use_of(config)
    return names_of_classes(config) | {
        "architectures": [next((name for name in USES if USES[name] == use), "DistilBertForTokenClassification")],
        "vocab_size": config.source_vocabulary,
        "max_position_embeddings": config.max_positions,
        "sinusoidal_pos_embds": False,
        "n_layers": config.encoder_layers,
        "n_heads": config.heads,
        "dim": config.width,
        "hidden_dim": config.feedforward,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation": known_activation(config, PUBLISHED_ACTIVATIONS),
        "tie_word_embeddings": config.tie != "none",
    }


def rows(config: ModelConfig) -> list[Row]:
    """All tensors."""
    into, found = "encoder.embedding", "distilbert.embeddings"
    table = [
        *matrix(f"{into}.tokens", f"{found}.word_embeddings"),
        Row(f"{into}.positions.weight", (f"{found}.position_embeddings.weight",)),
        *norm(f"{into}.norm", f"{found}.LayerNorm"),
    ]
    for number in range(config.encoder_layers):
        table += _block(config, f"encoder.blocks.{number}", f"distilbert.transformer.layer.{number}")
    if config.head.kind == "none":
        return table
    if config.head.kind == "classes":
        return table + linear("output", "classifier")
    return [
        *table,
        *linear("transform.dense", "vocab_transform"),
        *norm("transform.norm", "vocab_layer_norm"),
        *(linear("output", "vocab_projector") if config.tie == "none" else vector("output", "vocab_projector")),
    ]


def _block(config: ModelConfig, ours: str, theirs: str) -> list[Row]:
    parts = [f"{theirs}.attention.{part}_lin" for part in "qkv"]
    return [
        *linear(f"{ours}.self_attention.query_key_value", *parts, rows=projected(config)),
        *linear(f"{ours}.self_attention.output", f"{theirs}.attention.out_lin"),
        *norm(f"{ours}.around_self.norm", f"{theirs}.sa_layer_norm"),
        *linear(f"{ours}.feedforward.into", f"{theirs}.ffn.lin1"),
        *linear(f"{ours}.feedforward.out", f"{theirs}.ffn.lin2"),
        *norm(f"{ours}.around_feedforward.norm", f"{theirs}.output_layer_norm"),
    ]


DISTILBERT = Family(
    name="distilbert",
    kind="encoder",
    architectures=tuple(USES),
    configure=configure,
    describe=describe,
    rows=rows,
    inner="distilbert.",
    inert=frozenset({"qa_dropout", "seq_classif_dropout", "tie_weights_"}),
    unused=(r"vocab_.*",),
    copies={"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"},
)
