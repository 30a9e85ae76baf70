"""From a configuration to a model."""

from __future__ import annotations

import torch
from torch import nn

from clearhead.errors import ConfigurationError
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder

ARCHITECTURES: dict[str, type[EncoderDecoder]] = {"encoder-decoder": EncoderDecoder}


def build_model(config: ModelConfig, *, seed: int | None = None) -> nn.Module:
    """A new model with initial weights, on the CPU in float32.

    With a ``seed`` the weights depend on it alone, and torch's generators are left as they were.

    Raises:
        ConfigurationError: the architecture cannot be built.
    """
    if config.architecture not in ARCHITECTURES:
        raise ConfigurationError(f"architecture must be one of {', '.join(ARCHITECTURES)}, got {config.architecture!r}")
    if seed is None:
        return ARCHITECTURES[config.architecture](config)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return ARCHITECTURES[config.architecture](config)
