"""The recipe of the task "tagging": a tag for every word, from an encoder that reads whole words or their pieces."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from clearhead.data.tag_settings import TagData
from clearhead.models.config import ModelConfig
from clearhead.recipes.schema import Recipe
from clearhead.text.settings import SPECIALS, TokenizerSettings
from clearhead.text.word_settings import WordInput


class TaggingRecipe(Recipe):
    """Words in, a tag each out. ``tokenizer`` is there with ``input.kind`` "pieces" only, ``words`` otherwise."""

    ARCHITECTURES: ClassVar = ("encoder",)
    SCORES: ClassVar = ("accuracy", "macro_f1", "unknown_accuracy", "span_f1", "span_precision", "span_recall")

    task: Literal["tagging"]
    data: TagData
    input: WordInput = WordInput()
    tokenizer: TokenizerSettings | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.model.pooling != "none":
            raise ValueError(
                f'model.pooling: tagging gives every word its tag: expected "none", got {self.model.pooling!r}'
            )
        if self.model.ngram_buckets or self.model.input_width:
            raise ValueError("model.ngram_buckets and model.input_width follow from input; leave them out")
        if self.data.max_length > self.model.room:
            raise ValueError(
                f"data.max_length = {self.data.max_length} lets longer sentences in than model.max_positions = "
                f"{self.model.max_positions} has room for; lower the one or raise the other"
            )
        if self.training.watch.startswith("span") and self.data.scheme == "none":
            raise ValueError(
                f'training.watch = "{self.training.watch}" needs tags that mark spans: data.scheme = "bio"'
            )
        self._check_tokenizer()
        return self

    def _check_tokenizer(self) -> None:
        if self.tokenizer is None:
            return
        if self.input.kind == "words":
            raise ValueError('tokenizer: whole words are not cut; leave it out, or set input.kind = "pieces"')
        if self.tokenizer.subword_samples > 1 or self.tokenizer.subword_dropout:
            raise ValueError("tokenizer.subword_dropout: the pieces of a word are read once for all, so it must be 0")

    @property
    def cutting(self) -> TokenizerSettings:
        """How words are cut into pieces."""
        return self.tokenizer or TokenizerSettings()

    def model_of(self, vocabulary: int, classes: int) -> ModelConfig:
        """The full model configuration for a vocabulary and a set of tags of these sizes.

        Raises:
            ConfigurationError: they contradict the rest.
        """
        buckets = self.input.buckets if self.input.kind == "words" else 0
        return self.model_with({"source_vocabulary": vocabulary, "ngram_buckets": buckets, "classes": classes})

    def largest_model(self) -> ModelConfig:
        """The model with a vocabulary as large as it may become."""
        whole = self.input.kind == "words"
        vocabulary = self.input.vocabulary + SPECIALS if whole else self.cutting.vocabulary
        return self.model_of(vocabulary, self.model.classes)
