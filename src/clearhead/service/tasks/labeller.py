"""The face of a model that labels vectors: sequences of vectors in, a label for each vector or for each sequence out.

A sequence is an array (T, F), or as a line a JSON list of lists of numbers.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from clearhead.data.vector_batch import Vectors
from clearhead.data.vectors import checked_vectors
from clearhead.errors import ConfigurationError, DataError
from clearhead.service.tasks.encoder_face import EncoderFace, Reading
from clearhead.service.tasks.task import View
from clearhead.tasks.vectors import Labelled, VectorLabels


@dataclass(frozen=True)
class LabelAnswer:
    """The labels of one sequence of ``count`` vectors. As a line they stand in order, with spaces between."""

    labelled: Labelled
    count: int

    @property
    def text(self) -> str:
        """The labels."""
        return " ".join(self.labelled.labels)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, one a vector or a single one."""
        return self.labelled.labels

    @property
    def truncated(self) -> bool:
        """Whether the sequence was longer than is read, and lost its end."""
        return self.labelled.truncated

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; of the input only how many vectors it had."""
        return {
            "input": {"vectors": self.count},
            "text": self.text,
            "labels": list(self.labelled.labels),
            "probabilities": [round(each, 6) for each in self.labelled.probabilities],
            "truncated": self.labelled.truncated,
        }


@dataclass(frozen=True, eq=False)
class VectorLabeller(EncoderFace[Any]):
    """A trained encoder of vectors, and the task that knows their scale and the labels."""

    NO_TARGET = "labelling vectors has no target side: give the vectors alone"

    task: VectorLabels

    @property
    def longest(self) -> int:
        """The most vectors that are read at a time."""
        return self.task.longest

    def parse(self, line: str) -> Any:
        """The vectors of a line: a JSON list of lists of numbers. What is not, ``predict`` refuses with its number."""
        try:
            return json.loads(line)
        except (ValueError, RecursionError):
            return line

    def predict(self, inputs: Sequence[Any], **decoding: Any) -> list[LabelAnswer]:
        """The labels of each sequence, arrays (T, F) or lists of lists; results stand in the same order. No options.

        Raises:
            ConfigurationError: an option was given.
            DataError: an input is no sequence of vectors of the right width, or a number is not finite.
        """
        if decoding:
            option = next(iter(decoding))
            raise ConfigurationError(f"{option!r} is no option here: the likeliest label is taken")
        rows = [self._vectors(each, number) for number, each in enumerate(inputs, start=1)]
        found = self.task.label(self.model, rows)
        return [LabelAnswer(labelled, len(row)) for labelled, row in zip(found, rows, strict=True)]

    def reading(self, text: Any) -> Reading:
        """Vectors are shown by their numbers, from 1."""
        vectors = self._vectors(self.parse(text) if isinstance(text, str) else text, 1)[: self.longest]
        scaled = torch.from_numpy(self.task.scale(vectors))[None].to(self.device, self.model.output_weight.dtype)
        return Reading(lambda: self.model.logits(scaled), [str(number) for number in range(1, len(vectors) + 1)])

    def view(self, text: Any, target: str | None = None) -> View:
        """One sequence looked at: where each vector looked."""
        seen = self.inspect(text, target)
        answer = self.predict([self.parse(text) if isinstance(text, str) else text])[0]
        return View(f"{answer.count} vectors", answer.text, seen, "self")

    def _vectors(self, given: Any, number: int) -> Vectors:
        if isinstance(given, Tensor):
            given = given.detach().cpu().numpy()
        if not isinstance(given, list | tuple | np.ndarray):
            raise DataError(
                f"input {number}: expected a list of vectors of {self.task.width} numbers, such as [[0.5, …], …], got "
                f"{str(given)[:40]!r}"
            )
        vectors, reason, detail = checked_vectors(given, self.task.width)
        if reason:
            raise DataError(f"input {number}: {reason} ({detail})")
        return vectors
