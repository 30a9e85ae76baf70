"""Llama (arXiv 2302.13971, 2407.21783) and what is built like it: Mistral, Qwen2 and Qwen3 take their blocks from here.

A pre-norm causal decoder with RMSNorm, rotary positions in two halves, grouped keys and values, a gated feed-forward
network, and biases only where a setting asks for them.
"""

from __future__ import annotations

from typing import Any

from clearhead.models.config import ModelConfig
from clearhead.models.details import BiasSettings, InputSettings
from clearhead.pretrained.family import Contents, Family, activation, known_activation
from clearhead.pretrained.published import Published
from clearhead.pretrained.rope import rotary_of, rotary_settings
from clearhead.pretrained.rows import Row, gate_rows, linear, matrix, norm, projected

GATE_OF = {"relu": "reglu", "gelu": "geglu", "gelu_tanh": "geglu_tanh", "silu": "swiglu"}
PUBLISHED_GATES = {"reglu": "relu", "geglu": "gelu", "geglu_tanh": "gelu_new", "swiglu": "silu"}


def decoder_settings(settings: Published, contents: Contents, *, tied: bool, groups: int | None) -> dict[str, Any]:
    """What the family and its relatives read alike; ``tied`` and ``groups`` are theirs where nothing is said."""
    heads, vocabulary = settings.size("num_attention_heads"), settings.size("vocab_size")
    one = settings.flag("tie_word_embeddings", tied)
    contents.need_output(settings, "lm_head.weight", tied=one)
    return {
        "architecture": "decoder",
        "width": settings.size("hidden_size"),
        "decoder_layers": settings.count("num_hidden_layers"),
        "heads": heads,
        "key_value_heads": settings.size("num_key_value_heads", groups or heads),
        "feedforward": settings.size("intermediate_size"),
        "activation": GATE_OF[activation(settings, "hidden_act", "silu")],
        "norm": "rms",
        "norm_epsilon": settings.number("rms_norm_eps", 1e-6),
        "positions": "rotary",
        "max_positions": settings.size("max_position_embeddings"),
        "rotary": rotary_of(settings),
        "input": InputSettings(scale=1.0),
        "dropout": 0.0,
        "attention_dropout": settings.share("attention_dropout", 0.0),
        "tie": "all" if one else "none",
        "initialisation": "normal",
        "source_vocabulary": vocabulary,
        "target_vocabulary": vocabulary,
    }


def head_width(settings: Published, default: int | None = None) -> dict[str, Any]:
    """The width of keys and values in a head, where it is said; W / H otherwise."""
    if default is None and not settings.given("head_dim"):
        return {}
    width = settings.size("head_dim", default)
    return {"key_width": width, "value_width": width}


def configure(settings: Published, contents: Contents) -> ModelConfig:
    """From Llama's settings."""
    settings.must("rope_interleaved", False, "positions here turn columns half a head apart, not neighbours")
    fields = decoder_settings(settings, contents, tied=False, groups=None) | head_width(settings)
    attention, network = settings.flag("attention_bias", False), settings.flag("mlp_bias", False)
    biases = BiasSettings(query_key_value=attention, attention_output=attention, feedforward=network)
    return ModelConfig(**fields, biases=biases)


def described(config: ModelConfig) -> dict[str, Any]:
    """What the family and its relatives say alike."""
    return {
        "vocab_size": config.target_vocabulary,
        "hidden_size": config.width,
        "intermediate_size": config.feedforward,
        "num_hidden_layers": config.decoder_layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "hidden_act": known_activation(config, PUBLISHED_GATES),
        "max_position_embeddings": config.max_positions,
        "rms_norm_eps": config.norm_epsilon,
        "attention_dropout": config.attention_dropout,
        "tie_word_embeddings": config.tie != "none",
    } | rotary_settings(config.rotary)


def describe(config: ModelConfig) -> dict[str, Any]:
    """Llama's settings of a configuration."""
    return described(config) | {
        "architectures": ["LlamaForCausalLM"],
        "attention_bias": config.biases.query_key_value,
        "mlp_bias": config.biases.feedforward,
    }


def rows(config: ModelConfig) -> list[Row]:
    """All tensors, of Llama and of its relatives."""
    table = matrix("decoder.embedding.tokens", "model.embed_tokens")
    for number in range(config.decoder_layers):
        table += _block(config, f"decoder.blocks.{number}", f"model.layers.{number}")
    table += norm("decoder.norm", "model.norm", shift=False)
    return table + (matrix("output", "lm_head") if config.tie == "none" else [])


def _block(config: ModelConfig, ours: str, theirs: str) -> list[Row]:
    biases, attention, network = config.biases, f"{theirs}.self_attn", f"{theirs}.mlp"
    parts = [f"{attention}.{part}_proj" for part in "qkv"]
    of_heads = ("query_norm", "q_norm"), ("key_norm", "k_norm")
    return [
        *norm(f"{ours}.around_self.norm", f"{theirs}.input_layernorm", shift=False),
        *linear(f"{ours}.self_attention.query_key_value", *parts, bias=biases.query_key_value, rows=projected(config)),
        *(
            row
            for name, published in of_heads
            if config.query_key_norm
            for row in norm(f"{ours}.self_attention.{name}", f"{attention}.{published}", shift=False)
        ),
        *linear(f"{ours}.self_attention.output", f"{attention}.o_proj", bias=biases.attention_output),
        *norm(f"{ours}.around_feedforward.norm", f"{theirs}.post_attention_layernorm", shift=False),
        *linear(
            f"{ours}.feedforward.gate_into",
            f"{network}.gate_proj",
            f"{network}.up_proj",
            bias=biases.feedforward,
            rows=gate_rows(config),
        ),
        *linear(f"{ours}.feedforward.out", f"{network}.down_proj", bias=biases.feedforward),
    ]


UNUSED = (r".*\.rotary_emb\.inv_freq",)
COPIES = {"lm_head.weight": "model.embed_tokens.weight"}
LLAMA = Family(
    name="llama",
    kind="decoder",
    architectures=("LlamaForCausalLM", "LlamaModel"),
    configure=configure,
    describe=describe,
    rows=rows,
    inner="model.",
    inert=frozenset({"is_llama_config", "pretraining_tp"}),
    unused=UNUSED,
    copies=COPIES,
)
