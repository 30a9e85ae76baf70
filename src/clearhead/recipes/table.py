"""The tasks a recipe can name, one line each; ``service.tasks.table`` and the starter recipes have the same names."""

from __future__ import annotations

from clearhead.recipes.classification import ClassificationRecipe, MultilabelRecipe
from clearhead.recipes.imported import ContinuationRecipe, EmbeddingRecipe, ImportedRecipe, TextToTextRecipe
from clearhead.recipes.language_modelling import LanguageModelRecipe
from clearhead.recipes.schema import Recipe
from clearhead.recipes.tagging import TaggingRecipe
from clearhead.recipes.translation import TranslationRecipe
from clearhead.recipes.vectors import VectorClassificationRecipe, VectorTaggingRecipe

RECIPES: dict[str, type[Recipe]] = {
    "translation": TranslationRecipe,
    "tagging": TaggingRecipe,
    "vector-tagging": VectorTaggingRecipe,
    "vector-classification": VectorClassificationRecipe,
    "classification": ClassificationRecipe,
    "multilabel": MultilabelRecipe,
    "language-model": LanguageModelRecipe,
}
TASKS = tuple(RECIPES)
IMPORTED: dict[str, type[ImportedRecipe]] = {  # tasks of models that were not trained here
    "embedding": EmbeddingRecipe,
    "text-to-text": TextToTextRecipe,
    "continuation": ContinuationRecipe,
}
