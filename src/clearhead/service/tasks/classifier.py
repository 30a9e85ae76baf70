"""The face of a model that classifies texts: texts in, labels out; and every attention behind one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clearhead.errors import ConfigurationError, DataError
from clearhead.service.tasks.encoder_face import EncoderFace, Reading
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
class Classifier(EncoderFace[str]):
    """A trained encoder with one answer a text, and the task that knows words and labels."""

    NO_TARGET = "a classification has no target side: give the text alone"

    task: Classification
    separator: str = ","

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

    def reading(self, text: str) -> Reading:
        """The first position is the start symbol's, or its like's."""
        if not text.strip():
            raise ConfigurationError("there is nothing to look at: the text is empty")
        ((_, batch),) = self.task.batches([text])
        batch = batch.to(self.device)
        return Reading(
            lambda: self.model.logits(batch.ids, ngrams=batch.ngrams), self.task.reader.shown(text, self.longest)
        )

    def view(self, text: str, target: str | None = None) -> View:
        """One text looked at: where each position looked."""
        return View(text, self.predict([text])[0].text, self.inspect(text, target), "self")

    def _answer(self, text: str, found: Classified) -> ClassAnswer:
        ordered = sorted(zip(self.task.names, found.probabilities, strict=False), key=lambda pair: -pair[1])
        return ClassAnswer(text, found, dict(ordered), self.separator)


def _checked(texts: list[str]) -> list[str]:
    for number, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise DataError(f"text {number} of {len(texts)} should be a string, but it is {type(text).__name__}")
        if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
            raise DataError(f"text {number} of {len(texts)} holds a lone surrogate, which is no character of Unicode")
    return texts
