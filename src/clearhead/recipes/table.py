"""The tasks a recipe can name, one line each; ``service.tasks.table`` and the starter recipes have the same names."""

from __future__ import annotations

from clearhead.recipes.schema import Recipe
from clearhead.recipes.translation import TranslationRecipe

RECIPES: dict[str, type[Recipe]] = {
    "translation": TranslationRecipe,
}
TASKS = tuple(RECIPES)
