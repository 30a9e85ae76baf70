"""GPT-2 (Radford et al. 2019): a pre-norm causal decoder with learned positions, its output matrix the embedding.

Its linear maps are published as (in, out), and queries, keys and values packed as here.
"""

from __future__ import annotations

from typing import Any

from clearhead.models.config import ModelConfig
from clearhead.models.details import InputSettings
from clearhead.pretrained.family import PUBLISHED_ACTIVATIONS, Contents, Family, activation, known_activation
from clearhead.pretrained.published import Published
from clearhead.pretrained.rows import Row, linear, matrix, norm


def configure(settings: Published, contents: Contents) -> ModelConfig:
    """From GPT-2's settings."""
    settings.must("scale_attn_by_inverse_layer_idx", False, "scores scaled by the layer's number are not had here")
    vocabulary, width = settings.size("vocab_size"), settings.size("n_embd")
    return ModelConfig(
        architecture="decoder",
        width=width,
        decoder_layers=settings.count("n_layer"),
        heads=settings.size("n_head"),
        score="scaled_dot" if settings.flag("scale_attn_weights", True) else "dot",
        feedforward=settings.size("n_inner", 4 * width),
        activation=activation(settings, "activation_function", "gelu_new"),
        norm_epsilon=settings.number("layer_norm_epsilon", 1e-5),
        positions="learned",
        max_positions=settings.size("n_positions", 1024),
        input=InputSettings(scale=1.0),
        dropout=settings.share("resid_pdrop", 0.1),
        embedding_dropout=settings.share("embd_pdrop", 0.1),
        attention_dropout=settings.share("attn_pdrop", 0.1),
        tie="all" if settings.flag("tie_word_embeddings", True) else "none",
        initialisation="normal",
        source_vocabulary=vocabulary,
        target_vocabulary=vocabulary,
    )


def describe(config: ModelConfig) -> dict[str, Any]:
    """GPT-2's settings of a configuration."""
    dropped = config.dropout if config.embedding_dropout is None else config.embedding_dropout
    return {
        "architectures": ["GPT2LMHeadModel"],
        "vocab_size": config.target_vocabulary,
        "n_positions": config.max_positions,
        "n_embd": config.width,
        "n_layer": config.decoder_layers,
        "n_head": config.heads,
        "n_inner": config.feedforward,
        "activation_function": known_activation(config, PUBLISHED_ACTIVATIONS),
        "resid_pdrop": config.dropout,
        "embd_pdrop": dropped,
        "attn_pdrop": config.attention_dropout,
        "layer_norm_epsilon": config.norm_epsilon,
        "scale_attn_weights": config.score == "scaled_dot",
        "tie_word_embeddings": config.tie != "none",
    }


def rows(config: ModelConfig) -> list[Row]:
    """All tensors."""
    table = [
        *matrix("decoder.embedding.tokens", "transformer.wte"),
        Row("decoder.embedding.positions.weight", ("transformer.wpe.weight",)),
    ]
    for number in range(config.decoder_layers):
        ours, theirs = f"decoder.blocks.{number}", f"transformer.h.{number}"
        table += [
            *norm(f"{ours}.around_self.norm", f"{theirs}.ln_1"),
            *linear(f"{ours}.self_attention.query_key_value", f"{theirs}.attn.c_attn", turned=True),
            *linear(f"{ours}.self_attention.output", f"{theirs}.attn.c_proj", turned=True),
            *norm(f"{ours}.around_feedforward.norm", f"{theirs}.ln_2"),
            *linear(f"{ours}.feedforward.into", f"{theirs}.mlp.c_fc", turned=True),
            *linear(f"{ours}.feedforward.out", f"{theirs}.mlp.c_proj", turned=True),
        ]
    table += norm("decoder.norm", "transformer.ln_f")
    return table + (matrix("output", "lm_head") if config.tie == "none" else [])


GPT2 = Family(
    name="gpt2",
    kind="decoder",
    architectures=("GPT2LMHeadModel", "GPT2Model"),
    configure=configure,
    describe=describe,
    rows=rows,
    inner="transformer.",
    inert=frozenset(
        "n_ctx reorder_and_upcast_attn summary_activation summary_first_dropout summary_proj_to_labels summary_type "
        "summary_use_proj".split()
    ),
    unused=(r".*\.attn\.(masked_)?bias",),
    copies={"lm_head.weight": "transformer.wte.weight"},
)
