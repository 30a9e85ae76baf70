"""Settings of rotary positions as they are published, in both spellings there are, and back.

Older files have ``rope_theta`` and ``rope_scaling``, newer ones one table ``rope_parameters``. Of the ways to read
further than a model was trained to, those of the Llama family are known; every other is refused by name.
"""

from __future__ import annotations

from typing import Any

from clearhead.errors import ConfigurationError
from clearhead.models.details import RotarySettings
from clearhead.pretrained.published import Published

SCALINGS = {"default": "none", "linear": "linear", "llama3": "llama3"}
PUBLISHED = {ours: theirs for theirs, ours in SCALINGS.items()}


def rotary_of(settings: Published) -> RotarySettings:
    """Base and scaling, wherever they stand.

    Raises:
        ConfigurationError: a scaling, or a setting of one, is not known.
    """
    settings.must("partial_rotary_factor", 1.0, "positions that turn a part of the columns are not had here")
    newer, older = settings.table("rope_parameters"), settings.table("rope_scaling")
    base = settings.number("rope_theta", 10000.0)
    table = newer or older
    if table is None:
        return RotarySettings(base=base)
    base = table.number("rope_theta", base)
    table.must("partial_rotary_factor", 1.0, "positions that turn a part of the columns are not had here")
    scaling = table.choice("rope_type" if table.given("rope_type") else "type", SCALINGS, "default")
    rotary = _scaled(table, base, scaling)
    table.finish(inert={"type"} if table.given("rope_type") else ())
    return rotary


def _scaled(table: Published, base: float, scaling: str) -> RotarySettings:
    if scaling == "linear":
        return RotarySettings(base=base, scaling="linear", factor=table.number("factor"))
    if scaling == "llama3":
        slow, fast = table.number("low_freq_factor"), table.number("high_freq_factor")
        if not 0 < slow < fast:
            raise ConfigurationError(
                f"{table.where}: low_freq_factor must be above 0 and below high_freq_factor, got {slow} and {fast}"
            )
        return RotarySettings(
            base=base,
            scaling="llama3",
            factor=table.number("factor"),
            slow=slow,
            fast=fast,
            original_positions=table.size("original_max_position_embeddings"),
        )
    return RotarySettings(base=base)


def rotary_settings(rotary: RotarySettings) -> dict[str, Any]:
    """The older spelling, which newer readers understand too."""
    scaling: dict[str, Any] = {"rope_type": PUBLISHED[rotary.scaling]}
    if rotary.scaling != "none":
        scaling["factor"] = rotary.factor
    if rotary.scaling == "llama3":
        scaling |= {
            "low_freq_factor": rotary.slow,
            "high_freq_factor": rotary.fast,
            "original_max_position_embeddings": rotary.original_positions,
        }
    return {"rope_theta": rotary.base, "rope_scaling": None if rotary.scaling == "none" else scaling}
