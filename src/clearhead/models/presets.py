"""Named sizes: ``transformer-base``, ``transformer-big`` and the variants of table 3, arXiv 1706.03762."""

from __future__ import annotations

from typing import Any

from clearhead.errors import ConfigurationError, nearest
from clearhead.models.config import ModelConfig

_BASE: dict[str, Any] = {
    "width": 512, "encoder_layers": 6, "decoder_layers": 6, "heads": 8, "feedforward": 2048, "norm_order": "post",
    "source_vocabulary": 37000, "target_vocabulary": 37000,
}  # fmt: skip

# What each row of the table changes; where the width changes, the table gives the widths of keys and values with it.
_TABLE_3: dict[str, dict[str, int | float]] = {
    "transformer-base": {},
    "transformer-base-heads-1": {"heads": 1},
    "transformer-base-heads-4": {"heads": 4},
    "transformer-base-heads-16": {"heads": 16},
    "transformer-base-heads-32": {"heads": 32},
    "transformer-base-keys-16": {"key_width": 16},
    "transformer-base-keys-32": {"key_width": 32},
    "transformer-base-layers-2": {"encoder_layers": 2, "decoder_layers": 2},
    "transformer-base-layers-4": {"encoder_layers": 4, "decoder_layers": 4},
    "transformer-base-layers-8": {"encoder_layers": 8, "decoder_layers": 8},
    "transformer-base-width-256": {"width": 256, "key_width": 32, "value_width": 32},
    "transformer-base-width-1024": {"width": 1024, "key_width": 128, "value_width": 128},
    "transformer-base-feedforward-1024": {"feedforward": 1024},
    "transformer-base-feedforward-4096": {"feedforward": 4096},
    "transformer-big": {"width": 1024, "heads": 16, "feedforward": 4096, "dropout": 0.3},
}

PRESETS: dict[str, ModelConfig] = {
    "transformer-tiny": ModelConfig(),
    **{name: ModelConfig(**_BASE | changes) for name, changes in _TABLE_3.items()},
}


def preset(name: str) -> ModelConfig:
    """The configuration of that name.

    Raises:
        ConfigurationError: there is none; the nearest is named.
    """
    if name not in PRESETS:
        raise ConfigurationError(f"no preset {name!r}{nearest(name, PRESETS)}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
