"""What recipes of text have in common whose model writes text, too: one tokenizer a side, or one for both, from data.

It is learnt, unless the model that training starts from brings one: then what that was learnt with is said here, too,
or nothing, where it came from elsewhere and no settings of ours describe it.
"""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from clearhead.recipes.schema import Recipe
from clearhead.text.settings import TokenizerSettings


class CutTextRecipe(Recipe):
    """``tokenizer`` is None only where a model that is started ``from`` brings one of its own."""

    tokenizer: TokenizerSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _learnt_unless_brought(cls, table: Any) -> Any:
        if not isinstance(table, dict) or "tokenizer" in table:
            return table
        model = table.get("model")
        return table if isinstance(model, dict) and "from" in model else table | {"tokenizer": {}}

    @property
    def cutting(self) -> TokenizerSettings:
        """How text is cut where a tokenizer is learnt."""
        return self.tokenizer or TokenizerSettings()
