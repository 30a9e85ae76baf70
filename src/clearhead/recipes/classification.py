"""The recipes of the tasks "classification", exactly one label a text, and "multilabel", any number of them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from clearhead.data.label_settings import LabelData, LabelSetData
from clearhead.models.config import ModelConfig
from clearhead.recipes.schema import POOLED, Recipe
from clearhead.settings import Settings
from clearhead.text.settings import SPECIALS, TokenizerSettings
from clearhead.text.word_settings import WordInput

Weight = Annotated[float, Field(gt=0, le=1e6)]


class LabelWeights(Settings):
    """How much a text of each label weighs in training.

    "balanced" is N / (C n) for a label that n of N texts have, C being the number of labels; for any number of labels a
    text it is (N − n) / n, on the answer yes. ``given`` has weights by name; labels that it lacks weigh 1.
    """

    kind: Literal["none", "balanced", "given"] = "none"
    given: dict[str, Weight] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.kind == "given") != bool(self.given):
            raise ValueError('kind = "given" and a table given = { label = weight, … } belong together')
        return self


class Prediction(Settings):
    """From which probability on a text gets a label.

    ``thresholds``: "fixed" at ``threshold``, or tuned on validation data for the largest micro-F1: one that all labels
    share, or one "per-label". ``at_least_one``: where no label is likely enough, the likeliest is given.
    """

    thresholds: Literal["fixed", "shared", "per-label"] = "shared"
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5
    at_least_one: bool = False


class TextRecipe(Recipe):
    """What both have in common. ``tokenizer`` is there with ``input.kind`` "pieces" only."""

    ARCHITECTURES: ClassVar = ("encoder",)

    data: LabelData
    input: WordInput = WordInput()
    tokenizer: TokenizerSettings | None = None
    weights: LabelWeights = LabelWeights()

    @model_validator(mode="before")
    @classmethod
    def _pooled_by_default(cls, table: Any) -> Any:
        model = table.get("model", {}) if isinstance(table, dict) else None
        return table | {"model": {"pooling": "mean"} | model} if isinstance(model, dict) else table

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model.pooling == "none":
            raise ValueError(f'model.pooling: the task {self.task} needs {POOLED}, got "none"')
        if self.model.ngram_buckets or self.model.input_width:
            raise ValueError("model.ngram_buckets and model.input_width follow from input; leave them out")
        if self.data.max_length > self.model.room:
            raise ValueError(
                f"data.max_length = {self.data.max_length} lets longer texts in than model.max_positions = "
                f"{self.model.max_positions} has room for; lower the one or raise the other"
            )
        if self.tokenizer is not None and self.input.kind == "words":
            raise ValueError('tokenizer: whole words are not cut; leave it out, or set input.kind = "pieces"')
        return self

    @property
    def cutting(self) -> TokenizerSettings:
        """How texts are cut into pieces."""
        return self.tokenizer or TokenizerSettings()

    def model_of(self, vocabulary: int, classes: int) -> ModelConfig:
        """The full model configuration for a vocabulary and a set of labels of these sizes.

        Raises:
            ConfigurationError: they contradict the rest.
        """
        buckets = self.input.buckets if self.input.kind == "words" else 0
        sizes = {"source_vocabulary": vocabulary, "ngram_buckets": buckets, "classes": classes}
        return self.model_with(sizes | {"target_vocabulary": vocabulary})

    def largest_model(self) -> ModelConfig:
        """The model with a vocabulary as large as it may become."""
        whole = self.input.kind == "words"
        vocabulary = self.input.vocabulary + SPECIALS if whole else self.cutting.vocabulary
        return self.model_of(vocabulary, self.model.classes)


class ClassificationRecipe(TextRecipe):
    """Text in, exactly one label out."""

    SCORES: ClassVar = ("accuracy", "macro_f1", "micro_f1")

    task: Literal["classification"]


class MultilabelRecipe(TextRecipe):
    """Text in, any number of labels out."""

    SCORES: ClassVar = ("micro_f1", "macro_f1", "exact_match")

    task: Literal["multilabel"]
    data: LabelSetData
    prediction: Prediction = Prediction()

    @model_validator(mode="after")
    def _tunable(self) -> Self:
        if self.prediction.thresholds != "fixed" and self.data.valid is None:
            raise ValueError(
                f'prediction.thresholds = "{self.prediction.thresholds}" are tuned on validation data, but data.valid '
                'is missing; name it, hold out a share (data.valid = { share = 0.1 }), or set "fixed"'
            )
        return self
