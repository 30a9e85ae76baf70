"""The face of a model that classifies texts: texts in, labels out; and every attention behind one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, DataError
from clearhead.inspection.inspection import MAX_FULL, Choice, Inspection, inspect_forward
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_only import EncoderOnly
from clearhead.service.tasks.task import View
from clearhead.service.texts import listed
from clearhead.tasks.classification import Classification, Classified
from clearhead.tasks.translation import one_line


@dataclass(frozen=True)
class ClassAnswer:
    """The labels of one text, likeliest first, and the probability of every label there is (none for a blank text)."""

    input: str
    classified: Classified
    scores: dict[str, float]
    separator: str

    @property
    def text(self) -> str:
        """The labels in one line, with the data's separator between; empty where there is none."""
        return one_line(self.separator.join(self.classified.labels))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels; at most one where a text has exactly one."""
        return self.classified.labels

    @property
    def label(self) -> str | None:
        """The likeliest of the labels, None where there is none."""
        return self.labels[0] if self.labels else None

    @property
    def truncated(self) -> bool:
        """Whether the text was longer than is read, and lost its end."""
        return self.classified.truncated

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "input": self.input,
            "text": self.text,
            "label": self.label,
            "labels": list(self.labels),
            "probabilities": {name: round(value, 6) for name, value in self.scores.items()},
            "truncated": self.truncated,
        }


@dataclass(frozen=True, eq=False)
class Classifier:
    """A trained encoder with one answer a text, and the task that knows words and labels."""

    model: EncoderOnly
    task: Classification
    separator: str = ","

    @property
    def config(self) -> ModelConfig:
        """Sizes and choices of the model."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self.model.output_weight.device

    @property
    def longest(self) -> int:
        """The most words or pieces of a text that are read; symbols around it take further positions."""
        return self.task.room

    def parse(self, line: str) -> str:
        """A line is a text as it is."""
        return line

    def predict(self, inputs: Sequence[str], **decoding: Any) -> list[ClassAnswer]:
        """The labels of each text; results stand in the same order. There are no options.

        Raises:
            ConfigurationError: an option was given, or one text instead of a list.
            DataError: an input is no text.
        """
        if decoding:
            raise ConfigurationError(f"{next(iter(decoding))!r} is no option of a classification; there are none")
        texts = _checked(listed(inputs))
        return [
            self._answer(text, found) for text, found in zip(texts, self.task.classify(self.model, texts), strict=True)
        ]

    def speller(self, text: object) -> None:
        """Answers are not written token by token."""

    def logits(self, ids: Tensor, target_ids: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """Scores (B, C) of every label for ids (B, P) that begin with the start symbol; n-grams are left out."""
        _refuse_target(target_ids)
        with torch.inference_mode():
            return self.model.logits(ids, mask=mask, ngrams=self._no_ngrams(ids))

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's last layer (B, P, W) for ids (B, P) that begin with the start symbol; n-grams are left out."""
        with torch.inference_mode():
            return self.model.states(ids, mask=mask, ngrams=self._no_ngrams(ids))

    def inspect(
        self,
        text: str,
        target: str | None = None,
        *,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        max_full: int = MAX_FULL,
    ) -> Inspection:
        """Every attention over one text, by name; the first position is the start symbol's, or its like's.

        ``layers`` and ``heads`` (from 0) keep only those; maps of up to ``max_full`` rows and columns are given whole,
        longer ones as summary and by rectangle.
        """
        _refuse_target(target)
        if not text.strip():
            raise ConfigurationError("there is nothing to look at: the text is empty")
        ((_, batch),) = self.task.batches([text])
        batch = batch.to(self.device)
        shown = self.task.reader.shown(text, self.longest)
        return inspect_forward(
            self.model,
            lambda: self.model.logits(batch.ids, ngrams=batch.ngrams),
            shown,
            shown,
            choice=Choice(layers, heads, max_full),
        )

    def view(self, text: str, target: str | None = None) -> View:
        """One text looked at: where each position looked."""
        return View(text, self.predict([text])[0].text, self.inspect(text, target), "self")

    def _answer(self, text: str, found: Classified) -> ClassAnswer:
        ordered = sorted(zip(self.task.names, found.probabilities, strict=False), key=lambda pair: -pair[1])
        return ClassAnswer(text, found, dict(ordered), self.separator)

    def _no_ngrams(self, ids: Tensor) -> Tensor | None:
        return ids.new_zeros((*ids.shape, 1)) if self.config.ngram_buckets else None


def _checked(texts: list[str]) -> list[str]:
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise DataError(f"text {number} of {len(texts)} should be a string, but it is {type(text).__name__}")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise DataError(f"text {number} of {len(texts)} holds a lone surrogate, which is no character of Unicode")
    return texts


def _refuse_target(target: object) -> None:
    if target is not None:
        raise ConfigurationError("a classification has no target side: give the text alone")
