"""Refuses a model that this machine has no room for, before anything of it is allocated."""

from __future__ import annotations

from clearhead.errors import ConfigurationError
from clearhead.models.account import account
from clearhead.models.config import ModelConfig
from clearhead.service.machine import memory_bytes

FLOAT = 4
TRAINING = 4  # weights, gradients and two moments
POSITIONS = 8 + 2 * FLOAT  # while a table of positions is made it is float64; then encoder and decoder have one each


def refuse_too_large(config: ModelConfig, *, training: bool) -> None:
    """Refuse ``config`` when its weights (and, in training, their gradients and moments) exceed this machine's memory.

    Raises:
        ConfigurationError: with both sizes.
    """
    parameters = account(config).total
    needed = parameters * FLOAT * (TRAINING if training else 1) + config.max_positions * config.width * POSITIONS
    if needed > memory_bytes():
        raise ConfigurationError(
            f"a model of {parameters:,} parameters and {config.max_positions:,} positions takes at least "
            f"{needed / 2**30:,.1f} GiB {'to train' if training else 'to load'}, but this machine has "
            f"{memory_bytes() / 2**30:,.1f} GiB; make it smaller (model.width, layers, tokenizer.vocabulary)"
        )
