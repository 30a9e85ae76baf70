"""Qwen2 (arXiv 2407.10671) and Qwen3 (arXiv 2505.09388): Llama's blocks with their own habits.

Qwen2 has biases on queries, keys and values alone. Qwen3 normalises queries and keys head by head instead, and says
the width of a head. Either may have a sliding window in all layers or in none; a mixture is refused.
"""

from __future__ import annotations

from typing import Any

from clearhead.errors import ConfigurationError
from clearhead.models.config import ModelConfig
from clearhead.models.details import BiasSettings
from clearhead.pretrained.family import Contents, Family
from clearhead.pretrained.llama import COPIES, UNUSED, decoder_settings, described, head_width, rows
from clearhead.pretrained.published import Published

KINDS = {"full_attention": False, "sliding_attention": True}


def configure_2(settings: Published, contents: Contents) -> ModelConfig:
    """From Qwen2's settings."""
    fields = decoder_settings(settings, contents, tied=False, groups=32) | head_width(settings)
    biases = BiasSettings(query_key_value=True, attention_output=False, feedforward=False)
    return ModelConfig(**fields, biases=biases, window=window(settings, fields["decoder_layers"]))


def configure_3(settings: Published, contents: Contents) -> ModelConfig:
    """From Qwen3's settings."""
    fields = decoder_settings(settings, contents, tied=False, groups=32) | head_width(settings, default=128)
    attention = settings.flag("attention_bias", False)
    biases = BiasSettings(query_key_value=attention, attention_output=attention, feedforward=False)
    found = window(settings, fields["decoder_layers"])
    return ModelConfig(**fields, biases=biases, window=found, query_key_norm=True)


def window(settings: Published, layers: int) -> int | None:
    """How many positions behind itself each sees, in every layer; None for all.

    Raises:
        ConfigurationError: some layers have a window and others have none.
    """
    settings.must("use_mrope", False, "positions in several dimensions are not had here")
    used, first = settings.flag("use_sliding_window", False), settings.count("max_window_layers", 28)
    size = settings.size("sliding_window", 4096) if used else None
    settings.known |= {"sliding_window", "layer_types"}
    kinds = settings.settings.get("layer_types")
    if kinds is None:
        slides = [size is not None and number >= first for number in range(layers)]
    elif isinstance(kinds, list) and len(kinds) == layers and all(kind in KINDS for kind in kinds):
        slides = [KINDS[kind] for kind in kinds]
    else:
        raise ConfigurationError(
            f"{settings.where}: layer_types: expected one of {', '.join(KINDS)} for each of {layers} layers, "
            f"got {kinds!r}"
        )
    if any(slides) and size is None:
        raise ConfigurationError(
            f"{settings.where}: layer_types has sliding_attention, but use_sliding_window is false"
        )
    if any(slides) and not all(slides):
        raise ConfigurationError(
            f"{settings.where}: {sum(slides)} of {layers} layers have a sliding window (layer_types, "
            "max_window_layers), but here all layers of a stack have the same window or none"
        )
    return size - 1 if size is not None and any(slides) else None


def _windowed(config: ModelConfig) -> dict[str, Any]:
    if config.window is None:
        return {"use_sliding_window": False}
    return {"use_sliding_window": True, "sliding_window": config.window + 1, "max_window_layers": 0}


def describe_2(config: ModelConfig) -> dict[str, Any]:
    """Qwen2's settings of a configuration."""
    return described(config) | _windowed(config) | {"architectures": ["Qwen2ForCausalLM"]}


def describe_3(config: ModelConfig) -> dict[str, Any]:
    """Qwen3's settings of a configuration."""
    said = {"architectures": ["Qwen3ForCausalLM"], "attention_bias": config.biases.query_key_value}
    return described(config) | _windowed(config) | said


QWEN2 = Family(
    name="qwen2",
    kind="decoder",
    architectures=("Qwen2ForCausalLM", "Qwen2Model"),
    configure=configure_2,
    describe=describe_2,
    rows=rows,
    inner="model.",
    unused=UNUSED,
    copies=COPIES,
)
QWEN3 = Family(
    name="qwen3",
    kind="decoder",
    architectures=("Qwen3ForCausalLM", "Qwen3Model"),
    configure=configure_3,
    describe=describe_3,
    rows=rows,
    inner="model.",
    unused=UNUSED,
    copies=COPIES,
)
