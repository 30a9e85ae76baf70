"""Named sizes. ``transformer-base`` and ``transformer-big`` are table 3 of arXiv 1706.03762."""

from __future__ import annotations

from clearhead.errors import ConfigurationError, nearest
from clearhead.models.config import ModelConfig

PRESETS: dict[str, ModelConfig] = {
    "transformer-tiny": ModelConfig(),
    "transformer-base": ModelConfig(
        width=512, encoder_layers=6, decoder_layers=6, heads=8, feedforward=2048, norm_order="post",
        source_vocabulary=37000, target_vocabulary=37000,
    ),
    "transformer-big": ModelConfig(
        width=1024, encoder_layers=6, decoder_layers=6, heads=16, feedforward=4096, norm_order="post", dropout=0.3,
        source_vocabulary=37000, target_vocabulary=37000,
    ),
}  # fmt: skip


def preset(name: str) -> ModelConfig:
    """The configuration of that name.

    Raises:
        ConfigurationError: there is none; the nearest is named.
    """
    if name not in PRESETS:
        raise ConfigurationError(f"no preset {name!r}{nearest(name, PRESETS)}; there are {', '.join(PRESETS)}")
    return PRESETS[name]
