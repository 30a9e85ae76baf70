"""What a recipe may say: each room's own settings, put together, and what only their combination can get wrong."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from clearhead.data.settings import PairData
from clearhead.errors import ConfigurationError
from clearhead.generation.settings import DecodingSettings
from clearhead.models.config import ModelConfig
from clearhead.settings import Settings
from clearhead.text.settings import TokenizerSettings
from clearhead.training.settings import TrainingSettings

TASKS = ("translation",)
VOCABULARIES = frozenset({"source_vocabulary", "target_vocabulary"})


class Recipe(Settings):
    """Everything that decides a training run. ``data.folder`` is absolute once a recipe has been read.

    ``model`` is a ``ModelConfig`` whose vocabulary sizes are upper bounds taken from ``tokenizer``; the true ones are
    known when the tokenizers are (``with_vocabularies``).
    """

    task: Literal["translation"]
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 1
    data: PairData
    tokenizer: TokenizerSettings = TokenizerSettings()
    model: ModelConfig = ModelConfig()
    training: TrainingSettings = TrainingSettings()
    decoding: DecodingSettings = DecodingSettings()

    @field_validator("model", mode="before")
    @classmethod
    def _no_vocabularies(cls, model: Any) -> Any:
        given = sorted(VOCABULARIES & set(model)) if isinstance(model, dict) else []
        if given:
            raise ValueError(f"{given[0]} is counted from the tokenizer; set tokenizer.vocabulary instead")
        return model

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model.tie == "all" and not self.tokenizer.shared:
            raise ValueError(
                'model.tie = "all" needs one vocabulary for both sides, but tokenizer.shared = false; '
                'set tokenizer.shared = true or model.tie = "target"'
            )
        if self.data.max_length > self.model.max_positions:
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
        sizes = {"source_vocabulary": source, "target_vocabulary": target}
        try:
            return ModelConfig.model_validate(self.model.model_dump() | sizes)
        except ValidationError as error:
            raise ConfigurationError(f"model: {error.errors()[0]['msg']}") from None

    def as_table(self) -> dict[str, Any]:
        """The recipe as nested tables, as an author could have written it."""
        return self.model_dump(exclude={"model": set(VOCABULARIES)})
