"""The strict, frozen base of every settings class: what a recipe may say, checked before anything is built.

Each room owns its settings (``text.settings``, ``data.settings``, ``models.config``, ``training.settings``, …);
``recipes.schema`` only puts them together.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """Unknown keys, silent type conversions, NaN and later changes are all refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
