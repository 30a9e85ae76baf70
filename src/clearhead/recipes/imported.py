"""The recipes of models that were not trained here: how they answer, and nothing of data and training.

Which files a model came from is not told: what it is stands in the run's ``config.json``.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from clearhead.data.settings import DataFolder
from clearhead.generation.settings import ContinuationSettings, DecodingSettings
from clearhead.recipes.schema import COUNTED, Recipe
from clearhead.tasks.embedding_settings import EmbeddingSettings

UNSAID = {"data", "model", "training", "recording", "seed"}


class ImportedRecipe(Recipe):
    """What all of them share: the sections about learning stay at their defaults and are not written down."""

    SCORES: ClassVar = ()
    SMOOTHING: ClassVar = 0.0

    data: DataFolder = DataFolder()

    @model_validator(mode="after")
    def _with_a_head_that_learns(self) -> Self:
        """Any head will do, as nothing is trained."""
        return self

    def as_table(self) -> dict[str, Any]:
        """The recipe as nested tables, without what it does not decide."""
        return self.model_dump(exclude=UNSAID | COUNTED.keys(), by_alias=True)


class EmbeddingRecipe(ImportedRecipe):
    """An encoder: texts in, vectors out."""

    ARCHITECTURES: ClassVar = ("encoder",)

    task: Literal["embedding"]
    embedding: EmbeddingSettings = EmbeddingSettings()


class TextToTextRecipe(ImportedRecipe):
    """An encoder-decoder: texts in, texts out."""

    ARCHITECTURES: ClassVar = ("encoder-decoder",)

    task: Literal["text-to-text"]
    decoding: DecodingSettings = DecodingSettings()


class ContinuationRecipe(ImportedRecipe):
    """A decoder: prompts in, what goes on behind them out."""

    ARCHITECTURES: ClassVar = ("decoder",)

    task: Literal["continuation"]
    decoding: ContinuationSettings = ContinuationSettings()
