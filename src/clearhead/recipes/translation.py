"""The recipe of the task "translation": pairs of texts, an encoder-decoder, and how its output is searched for."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from clearhead.data.settings import PairData
from clearhead.generation.settings import DecodingSettings
from clearhead.models.config import ModelConfig
from clearhead.recipes.cut_text import CutTextRecipe
from clearhead.tasks.settings import TranslationScoring
from clearhead.training.sampling_schedule import ScheduledSampling


class TranslationRecipe(CutTextRecipe):
    """Text to text. ``max_length`` and ``max_positions`` count tokens with the special ones around a text.

    Without ``scheduled_sampling`` the decoder learns by teacher forcing.
    """

    ARCHITECTURES: ClassVar = ("encoder-decoder",)
    SCORES: ClassVar = ("bleu", "chrf", "multi_bleu_lowercased", "exact_match")

    task: Literal["translation"]
    data: PairData
    decoding: DecodingSettings = DecodingSettings()
    scoring: TranslationScoring = TranslationScoring()
    scheduled_sampling: ScheduledSampling | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model.one_embedding and not self.cutting.shared:
            raise ValueError(
                f'model.tie = "{self.model.tie}" needs one vocabulary for both sides, but tokenizer.shared = false; '
                'set tokenizer.shared = true or model.tie = "target"'
            )
        if self.data.max_length > self.model.room:
            raise ValueError(
                f"data.max_length = {self.data.max_length} lets longer sequences in than model.max_positions = "
                f"{self.model.max_positions} has room for; lower the one or raise the other"
            )
        return self

    def with_vocabularies(self, source: int, target: int) -> ModelConfig:
        """The full model configuration for tokenizers of these sizes.

        Raises:
            ConfigurationError: the sizes contradict the rest, such as two vocabularies under one tied embedding.
        """
        return self.model_with({"source_vocabulary": source, "target_vocabulary": target})

    def largest_model(self) -> ModelConfig:
        """The model with vocabularies as large as they may become."""
        return self.with_vocabularies(self.cutting.vocabulary, self.cutting.vocabulary)
