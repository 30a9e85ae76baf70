"""From a configuration to a model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from clearhead.models.config import ModelConfig
from clearhead.models.decoder_only import DecoderOnly
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.models.encoder_only import EncoderOnly
from clearhead.models.pruning import keep_heads
from clearhead.models.recurrent_decoder_only import RecurrentDecoderOnly
from clearhead.models.recurrent_encoder_decoder import RecurrentEncoderDecoder
from clearhead.models.rules import NONE, Rules, check_rules

MODELS: dict[tuple[str, str], Callable[[ModelConfig, Rules], nn.Module]] = {  # architecture and body
    ("encoder-decoder", "transformer"): EncoderDecoder,
    ("encoder-decoder", "lstm"): RecurrentEncoderDecoder,
    ("encoder", "transformer"): EncoderOnly,
    ("encoder", "lstm"): EncoderOnly,
    ("decoder", "transformer"): DecoderOnly,
    ("decoder", "lstm"): RecurrentDecoderOnly,
}


def build_model(config: ModelConfig, *, seed: int | None = None, rules: Rules = NONE) -> nn.Module:
    """A new model with initial weights, on the CPU in float32.

    With a ``seed`` the weights depend on it alone, and torch's generators are left as they were. ``rules`` are a user's
    own functions, which a configuration cannot name.

    Raises:
        ConfigurationError: the rules contradict the configuration.
    """
    check_rules(config, rules)
    make = MODELS[config.architecture, config.body]
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.default_generator.manual_seed(seed)
        model = make(config, rules)
    keep_heads(model, config)
    return model
