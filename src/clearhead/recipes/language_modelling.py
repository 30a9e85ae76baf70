"""The recipe of the task "language-model": texts, a causal decoder, and how a text is gone on with."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from clearhead.data.document_settings import DocumentData
from clearhead.generation.settings import ContinuationSettings
from clearhead.models.config import ModelConfig
from clearhead.recipes.cut_text import CutTextRecipe


class LanguageModelRecipe(CutTextRecipe):
    """Text, and what comes next."""

    ARCHITECTURES: ClassVar = ("decoder",)
    SCORES: ClassVar = ()
    SMOOTHING: ClassVar = 0.0

    task: Literal["language-model"]
    data: DocumentData
    decoding: ContinuationSettings = ContinuationSettings()

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.cutting.subword_dropout:
            raise ValueError("tokenizer.subword_dropout: a language model's text is cut in one way, so it must be 0")
        if self.data.length > self.model.room:
            raise ValueError(
                f"data.length = {self.data.length} makes longer rows than model.max_positions = "
                f"{self.model.max_positions} has room for; lower the one or raise the other"
            )
        return self

    def with_vocabulary(self, size: int) -> ModelConfig:
        """The full model configuration for a tokenizer of this size.

        Raises:
            ConfigurationError: the size contradicts the rest.
        """
        return self.model_with({"source_vocabulary": size, "target_vocabulary": size})

    def largest_model(self) -> ModelConfig:
        """The model with a vocabulary as large as it may become."""
        settings = self.cutting
        return self.with_vocabulary(settings.reserved if settings.kind == "bytes" else settings.vocabulary)
