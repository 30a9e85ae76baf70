"""Mistral (Jiang et al. 2023, arXiv 2310.06825): Llama's blocks without biases, and a window behind each position.

The published window counts the position itself, ours the ones before it.
"""

from __future__ import annotations

from typing import Any

from clearhead.models.config import ModelConfig
from clearhead.models.details import BiasSettings
from clearhead.pretrained.family import Contents, Family
from clearhead.pretrained.llama import COPIES, UNUSED, decoder_settings, described, head_width, rows
from clearhead.pretrained.published import Published

NO_BIASES = BiasSettings(query_key_value=False, attention_output=False, feedforward=False)


def configure(settings: Published, contents: Contents) -> ModelConfig:
    """From Mistral's settings; a window that is said to be null is none."""
    fields = decoder_settings(settings, contents, tied=False, groups=8) | head_width(settings)
    if "sliding_window" in settings.settings and not settings.given("sliding_window"):
        return ModelConfig(**fields, biases=NO_BIASES)
    return ModelConfig(**fields, biases=NO_BIASES, window=settings.size("sliding_window", 4096) - 1)


def describe(config: ModelConfig) -> dict[str, Any]:
    """Mistral's settings of a configuration."""
    window = None if config.window is None else config.window + 1
    return described(config) | {"architectures": ["MistralForCausalLM"], "sliding_window": window}


MISTRAL = Family(
    name="mistral",
    kind="decoder",
    architectures=("MistralForCausalLM", "MistralModel"),
    configure=configure,
    describe=describe,
    rows=rows,
    inner="model.",
    unused=UNUSED,
    copies=COPIES,
)
