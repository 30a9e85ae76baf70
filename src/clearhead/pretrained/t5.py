"""T5 (Raffel et al. 2019, arXiv 1910.10683): a pre-norm encoder-decoder without biases that learns from distances.

Version 1.0 scales what its output matrix reads by W^-1/2, because that is the embedding; version 1.1 has a matrix of
its own and a gated network (Shazeer 2020, arXiv 2002.05202). Scores are not scaled, RMSNorm has no shift.
"""

from __future__ import annotations

import math
from typing import Any

from clearhead.errors import ConfigurationError
from clearhead.models.config import GATED, ModelConfig
from clearhead.models.details import BiasSettings, BucketSettings, HeadSettings, InputSettings
from clearhead.pretrained.family import ACTIVATIONS, Contents, Family
from clearhead.pretrained.published import Published
from clearhead.pretrained.rows import Row, gate_rows, matrix, projected

NETWORKS = {name: name for name in ("relu", "gelu", "gelu_new", "silu")}
GATES = {"gated-gelu": "geglu_tanh", "gated-relu": "reglu", "gated-silu": "swiglu", "gated-gelu_new": "geglu_tanh"}
FEED_FORWARD = {name: str(ACTIVATIONS[name]) for name in NETWORKS} | GATES
PUBLISHED = {ours: name for name, ours in reversed(FEED_FORWARD.items())}
LONGEST = 4096  # distances have no end, so it is memory that bounds a text; n_positions is a length of training


def configure(settings: Published, contents: Contents) -> ModelConfig:
    """From T5's settings."""
    width, layers = settings.size("d_model", 512), settings.count("num_layers", 6)
    key, own_output = settings.size("d_kv", 64), contents.has("lm_head.weight")
    scaled = settings.flag("scale_decoder_outputs", settings.flag("tie_word_embeddings", True))
    vocabulary = settings.size("vocab_size")
    return ModelConfig(
        architecture="encoder-decoder",
        width=width,
        encoder_layers=layers,
        decoder_layers=settings.count("num_decoder_layers", layers),
        heads=settings.size("num_heads", 8),
        key_width=key,
        value_width=key,
        score="dot",
        feedforward=settings.size("d_ff", 2048),
        activation=settings.choice("feed_forward_proj", FEED_FORWARD, "relu"),  # type: ignore[arg-type]
        norm="rms",
        norm_epsilon=settings.number("layer_norm_epsilon", 1e-6),
        biases=BiasSettings(query_key_value=False, attention_output=False, feedforward=False),
        positions="t5",
        max_positions=LONGEST,
        buckets=BucketSettings(
            count=settings.size("relative_attention_num_buckets", 32),
            farthest=settings.size("relative_attention_max_distance", 128),
        ),
        input=InputSettings(scale=1.0),
        dropout=settings.share("dropout_rate", 0.1),
        head=HeadSettings(scale=1 / math.sqrt(width) if scaled else 1.0),
        tie="embeddings" if own_output else "all",
        initialisation="normal",
        source_vocabulary=vocabulary,
        target_vocabulary=vocabulary,
    )


def describe(config: ModelConfig) -> dict[str, Any]:
    """T5's settings of a configuration."""
    if config.activation not in PUBLISHED:
        raise ConfigurationError(
            f'activation = "{config.activation}" is none of this family\'s: {", ".join(PUBLISHED)}'
        )
    return {
        "architectures": ["T5ForConditionalGeneration"],
        "is_encoder_decoder": True,
        "vocab_size": config.source_vocabulary,
        "d_model": config.width,
        "d_kv": config.head_width,
        "d_ff": config.feedforward,
        "num_layers": config.encoder_layers,
        "num_decoder_layers": config.decoder_layers,
        "num_heads": config.heads,
        "relative_attention_num_buckets": config.buckets.count,
        "relative_attention_max_distance": config.buckets.farthest,
        "dropout_rate": config.dropout,
        "layer_norm_epsilon": config.norm_epsilon,
        "feed_forward_proj": PUBLISHED[config.activation],
        "tie_word_embeddings": config.tie == "all",
        "scale_decoder_outputs": config.head.scale != 1.0,
    }


def rows(config: ModelConfig) -> list[Row]:
    """All tensors."""
    table = matrix("encoder.embedding.tokens", "shared")
    for side, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        first = f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
        table.append(Row(f"{side}.positions.table", (first,)))
        for number in range(layers):
            table += _block(config, f"{side}.blocks.{number}", f"{side}.block.{number}.layer", side == "decoder")
        table += matrix(f"{side}.norm", f"{side}.final_layer_norm")
    return table + (matrix("output", "lm_head") if config.tie != "all" else [])


def _block(config: ModelConfig, ours: str, theirs: str, cross: bool) -> list[Row]:
    own, last = f"{theirs}.0.SelfAttention", 2 if cross else 1
    table = [
        *matrix(f"{ours}.around_self.norm", f"{theirs}.0.layer_norm"),
        *matrix(f"{ours}.self_attention.query_key_value", *(f"{own}.{part}" for part in "qkv"), rows=projected(config)),
        *matrix(f"{ours}.self_attention.output", f"{own}.o"),
        *matrix(f"{ours}.around_feedforward.norm", f"{theirs}.{last}.layer_norm"),
        *_network(config, f"{ours}.feedforward", f"{theirs}.{last}.DenseReluDense"),
    ]
    if cross:
        other, kept = f"{theirs}.1.EncDecAttention", projected(config)[1:]
        table += [
            *matrix(f"{ours}.around_cross.norm", f"{theirs}.1.layer_norm"),
            *matrix(f"{ours}.cross_attention.query", f"{other}.q"),
            *matrix(f"{ours}.cross_attention.key_value", f"{other}.k", f"{other}.v", rows=kept),
            *matrix(f"{ours}.cross_attention.output", f"{other}.o"),
        ]
    return table


def _network(config: ModelConfig, ours: str, theirs: str) -> list[Row]:
    out = matrix(f"{ours}.out", f"{theirs}.wo")
    if config.activation in GATED:
        return [*matrix(f"{ours}.gate_into", f"{theirs}.wi_0", f"{theirs}.wi_1", rows=gate_rows(config)), *out]
    return [*matrix(f"{ours}.into", f"{theirs}.wi"), *out]


T5 = Family(
    name="t5",
    kind="encoder-decoder",
    architectures=("T5ForConditionalGeneration", "T5Model", "T5WithLMHeadModel"),
    configure=configure,
    describe=describe,
    rows=rows,
    inert=frozenset("classifier_dropout dense_act_fn extra_ids is_encoder_decoder is_gated_act n_positions".split()),
    unused=(r"decoder\.block\.0\.layer\.1\.EncDecAttention\.relative_attention_bias\.weight",),  # never read by T5
    copies=dict.fromkeys(("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"), "shared.weight"),
)
