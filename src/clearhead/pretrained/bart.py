"""BART (Lewis et al. 2019, arXiv 1910.13461): the paper's encoder-decoder, post-norm, with learned positions and GELU.

Marian's models have the same blocks under the same names and take them from here.
"""

from __future__ import annotations

from typing import Any

from clearhead.models.config import ModelConfig
from clearhead.models.details import BiasSettings, InputSettings
from clearhead.pretrained.family import PUBLISHED_ACTIVATIONS, Contents, Family, activation, known_activation
from clearhead.pretrained.published import Published
from clearhead.pretrained.rows import Row, linear, norm, projected

FINAL_BIAS = "final_logits_bias"


def both_sides(settings: Published, name: str, default: int) -> int:
    """A size that encoder and decoder have in common; ``name`` is what follows "encoder_" and "decoder_"."""
    size = settings.size(f"encoder_{name}", default)
    settings.must(f"decoder_{name}", size, f"encoder and decoder have the same here, and encoder_{name} is {size}")
    return size


def seq2seq_settings(settings: Published, contents: Contents) -> dict[str, Any]:
    """What BART and Marian read alike, as fields of a configuration."""
    for name in ("normalize_before", "add_final_layer_norm", "add_bias_logits"):
        settings.must(name, False, "it makes another block, which only other families have")
    vocabulary = settings.size("vocab_size")
    return {
        "architecture": "encoder-decoder",
        "width": settings.size("d_model", 1024),
        "encoder_layers": settings.count("encoder_layers", 12),
        "decoder_layers": settings.count("decoder_layers", 12),
        "heads": both_sides(settings, "attention_heads", 16),
        "feedforward": both_sides(settings, "ffn_dim", 4096),
        "activation": activation(settings, "activation_function", "gelu"),
        "norm_order": "post",
        "norm_epsilon": 1e-5,
        "max_positions": settings.size("max_position_embeddings", 1024),
        "biases": BiasSettings(output=contents.has(FINAL_BIAS)),
        "dropout": settings.share("dropout", 0.1),
        "attention_dropout": settings.share("attention_dropout", 0.0),
        "feedforward_dropout": settings.share("activation_dropout", 0.0),
        "initialisation": "normal",
        "source_vocabulary": vocabulary,
        "target_vocabulary": vocabulary,
    }


def scale(settings: Published) -> float | None:
    """What multiplies an embedding: the root of the width where the settings say so."""
    return None if settings.flag("scale_embedding", False) else 1.0


def configure(settings: Published, contents: Contents) -> ModelConfig:
    """From BART's settings."""
    settings.must("normalize_embedding", True, "BART without a norm after its embedding is not had here")
    settings.must("static_position_embeddings", False, "BART's positions are learned")
    settings.must("tie_word_embeddings", True, "BART's embeddings and its output matrix are one")
    fields = seq2seq_settings(settings, contents)
    into = InputSettings(scale=scale(settings), norm=True, first_position=2)
    return ModelConfig(**fields, positions="learned", input=into, tie="all")


def described(config: ModelConfig) -> dict[str, Any]:
    """What BART and Marian say alike."""
    both = {"attention_heads": config.heads, "ffn_dim": config.feedforward}
    return {
        "is_encoder_decoder": True,
        "vocab_size": config.source_vocabulary,
        "max_position_embeddings": config.max_positions,
        "d_model": config.width,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        **{f"{side}_{name}": size for side in ("encoder", "decoder") for name, size in both.items()},
        "activation_function": known_activation(config, PUBLISHED_ACTIVATIONS),
        "scale_embedding": config.input.scale is None or config.input.scale == config.width**0.5,
        "dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "activation_dropout": config.feedforward_dropout,
    }


def describe(config: ModelConfig) -> dict[str, Any]:
    """BART's settings of a configuration."""
    return described(config) | {"architectures": ["BartForConditionalGeneration"]}


def stack_rows(config: ModelConfig) -> list[Row]:
    """The tensors of both stacks, of BART and of Marian."""
    rows = []
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for number in range(layers):
            rows += _block(config, f"{side}.blocks.{number}", f"model.{side}.layers.{number}", side == "decoder")
    return rows + ([Row("output.bias", (FINAL_BIAS,), flat=True)] if config.output_bias else [])


def _block(config: ModelConfig, ours: str, theirs: str, cross: bool) -> list[Row]:
    parts = [f"{theirs}.self_attn.{part}_proj" for part in "qkv"]
    rows = [
        *linear(f"{ours}.self_attention.query_key_value", *parts, rows=projected(config)),
        *linear(f"{ours}.self_attention.output", f"{theirs}.self_attn.out_proj"),
        *norm(f"{ours}.around_self.norm", f"{theirs}.self_attn_layer_norm"),
        *linear(f"{ours}.feedforward.into", f"{theirs}.fc1"),
        *linear(f"{ours}.feedforward.out", f"{theirs}.fc2"),
        *norm(f"{ours}.around_feedforward.norm", f"{theirs}.final_layer_norm"),
    ]
    if not cross:
        return rows
    found, keys_values = f"{theirs}.encoder_attn", [f"{theirs}.encoder_attn.{part}_proj" for part in "kv"]
    return [
        *rows,
        *linear(f"{ours}.cross_attention.query", f"{found}.q_proj"),
        *linear(f"{ours}.cross_attention.key_value", *keys_values, rows=projected(config)[1:]),
        *linear(f"{ours}.cross_attention.output", f"{found}.out_proj"),
        *norm(f"{ours}.around_cross.norm", f"{theirs}.encoder_attn_layer_norm"),
    ]


def rows(config: ModelConfig) -> list[Row]:
    """All tensors."""
    table = [Row("encoder.embedding.tokens.weight", ("model.shared.weight",))]
    for side in ("encoder", "decoder"):
        table.append(Row(f"{side}.embedding.positions.weight", (f"model.{side}.embed_positions.weight",)))
        table += norm(f"{side}.embedding.norm", f"model.{side}.layernorm_embedding")
    return table + stack_rows(config)


INERT = frozenset(
    "classif_dropout classifier_dropout decoder_layerdrop encoder_layerdrop extra_pos_embeddings "
    "force_bos_token_to_be_generated init_std is_encoder_decoder num_hidden_layers".split()
)
BART = Family(
    name="bart",
    kind="encoder-decoder",
    architectures=("BartForConditionalGeneration", "BartModel"),
    configure=configure,
    describe=describe,
    rows=rows,
    inner="model.",
    inert=INERT,
    copies={
        name: "model.shared.weight"
        for name in ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
    },
)
