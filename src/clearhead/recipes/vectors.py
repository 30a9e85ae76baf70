"""The recipes of the tasks on vectors: "vector-tagging", a label for every one; "vector-classification", one for all.

Each is an encoder whose input are the vectors themselves: frames of speech, patches of an image, rows of a table.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from clearhead.data.vector_settings import VectorData
from clearhead.models.config import ModelConfig
from clearhead.recipes.schema import POOLED, Recipe


class VectorRecipe(Recipe):
    """What both have in common. ``input_width`` and ``classes`` are counted from the data."""

    ARCHITECTURES: ClassVar = ("encoder",)
    SCORES: ClassVar = ("accuracy", "macro_f1")
    PER_VECTOR: ClassVar[bool]

    data: VectorData

    @model_validator(mode="before")
    @classmethod
    def _pooled_by_default(cls, table: Any) -> Any:
        model = table.get("model", {}) if isinstance(table, dict) else None
        if cls.PER_VECTOR or not isinstance(model, dict):
            return table
        return table | {"model": {"pooling": "mean"} | model}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.model.pooling == "none") != self.PER_VECTOR:
            expected = '"none"' if self.PER_VECTOR else POOLED
            raise ValueError(f"model.pooling: the task {self.task} needs {expected}, got {self.model.pooling!r}")
        if self.model.input_width is not None or self.model.ngram_buckets or self.model.token_dropout:
            raise ValueError(
                "model.input_width, model.ngram_buckets, model.token_dropout: the width is counted from the data, and "
                "the others are about tokens; leave them out"
            )
        if self.data.max_length > self.model.room:
            raise ValueError(
                f"data.max_length = {self.data.max_length} lets longer sequences in than model.max_positions = "
                f"{self.model.max_positions} has room for; lower the one or raise the other"
            )
        return self

    def model_of(self, width: int, classes: int) -> ModelConfig:
        """The full model configuration for vectors and a set of labels of these sizes.

        Raises:
            ConfigurationError: they contradict the rest.
        """
        return self.model_with({"input_width": width, "classes": classes})

    def largest_model(self) -> ModelConfig:
        """The model for vectors as wide as itself; their true width is known when the data is."""
        return self.model_of(self.model.width, self.model.classes)


class VectorTaggingRecipe(VectorRecipe):
    """N vectors in, N labels out."""

    PER_VECTOR: ClassVar = True

    task: Literal["vector-tagging"]


class VectorClassificationRecipe(VectorRecipe):
    """N vectors in, one label out."""

    PER_VECTOR: ClassVar = False

    task: Literal["vector-classification"]
