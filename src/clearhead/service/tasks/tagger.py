"""The face of a model that tags: sentences in, a tag a word out; and every attention behind one of them.

A sentence is a list of words, or a line of them with spaces between. A line that is a JSON list is that list, so that a
word may hold spaces. A sentence longer than the limit is read in parts, and nothing of it is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError, DataError
from clearhead.inspection.inspection import MAX_FULL, Choice, Inspection, inspect_forward
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_only import EncoderOnly
from clearhead.service.tasks.task import View
from clearhead.tasks.tagging import Tagged, Tagging

Sentence = str | Sequence[str]


@dataclass(frozen=True)
class TagAnswer:
    """The tags of one sentence. As a line they stand in the order of the words, with spaces between."""

    tagged: Tagged
    spans: tuple[dict[str, Any], ...] | None

    @property
    def text(self) -> str:
        """The tags."""
        return " ".join(self.tagged.tags)

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags, one a word."""
        return self.tagged.tags

    @property
    def truncated(self) -> bool:
        """Never: a long sentence is read in parts."""
        return False

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; ``spans`` are there where tags mark spans, the end of each behind its last word."""
        table: dict[str, Any] = {
            "input": list(self.tagged.words),
            "text": self.text,
            "tags": list(self.tagged.tags),
            "probabilities": [round(each, 6) for each in self.tagged.probabilities],
            "parts": self.tagged.parts,
        }
        return table if self.spans is None else table | {"spans": list(self.spans)}


@dataclass(frozen=True, eq=False)
class Tagger:
    """A trained encoder with a tag for every word, and the task that knows words and tags."""

    model: EncoderOnly
    task: Tagging

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
        """The most positions that are read at a time."""
        return self.task.longest

    def parse(self, line: str) -> list[str]:
        """The words of a line: a JSON list of strings, or what stands between spaces and tabs."""
        if line.lstrip().startswith("["):
            try:
                words = json.loads(line)
            except (ValueError, RecursionError):
                words = None
            if isinstance(words, list) and all(isinstance(word, str) for word in words):
                return words
        return [word for word in line.replace("\t", " ").split(" ") if word]

    def predict(self, inputs: Sequence[Sentence], **decoding: Any) -> list[TagAnswer]:
        """The tags of each sentence; results stand in the same order. Batching is done here. There are no options.

        Raises:
            ConfigurationError: an option was given, or one text instead of a list.
            DataError: a word is no string, or is blank.
        """
        if decoding:
            raise ConfigurationError(
                f"tagging has no option {next(iter(decoding))!r}: it takes the likeliest tag of each word"
            )
        if isinstance(inputs, (str, bytes)):
            raise ConfigurationError("expected a list of sentences, got one text: write [text]")
        sentences = [self.parse(each) if isinstance(each, str) else list(each) for each in inputs]
        _check(sentences)
        return [self._answer(tagged) for tagged in self.task.tag(self.model, sentences)]

    def speller(self, text: object) -> None:
        """Answers are not written token by token."""

    def logits(self, ids: Tensor, target_ids: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """Scores (B, T, C) of every tag for ids (B, T), without n-grams; see ``model.logits`` for all there is."""
        _refuse_target(target_ids)
        with torch.inference_mode():
            return self.model.logits(ids, mask=mask)

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's last layer (B, T, W) for ids (B, T), without n-grams."""
        with torch.inference_mode():
            return self.model.states(ids, mask=mask)

    def inspect(
        self,
        text: Sentence,
        target: str | None = None,
        *,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        max_full: int = MAX_FULL,
    ) -> Inspection:
        """Every attention over one sentence, by name: ``encoder.0.self``. Of a long sentence, its first part.

        ``layers`` and ``heads`` (from 0) keep only those; maps of up to ``max_full`` rows and columns are given whole,
        longer ones as summary and by rectangle.

        Raises:
            ConfigurationError: a target, which tagging does not have, or no words.
        """
        _refuse_target(target)
        words = self.parse(text) if isinstance(text, str) else list(text)
        _check([words])
        work = next(self.task.batches([words]), None)
        if work is None:
            raise ConfigurationError("there is nothing to look at: the sentence has no words")
        batch, part = work.batch.to(self.device), work.where[0][1]
        shown = self.task.reader.shown(words[part])[: batch.ids.shape[1]]
        forward: Callable[[], Tensor] = lambda: self.model.logits(  # noqa: E731
            batch.ids, mask=batch.mask, ngrams=batch.ngrams, words=batch.words
        )
        return inspect_forward(self.model, forward, shown, shown, choice=Choice(layers, heads, max_full))

    def view(self, text: Sentence, target: str | None = None) -> View:
        """One sentence looked at: where each word looked in it."""
        words = self.parse(text) if isinstance(text, str) else list(text)
        return View(" ".join(words), self.predict([words])[0].text, self.inspect(words, target), "self")

    def _answer(self, tagged: Tagged) -> TagAnswer:
        return TagAnswer(tagged, tuple(self.task.spans(tagged)) if self.task.marks_spans else None)


def _check(sentences: Sequence[Sequence[str]]) -> None:
    for number, words in enumerate(sentences, start=1):
        for place, word in enumerate(words, start=1):
            if not isinstance(word, str):
                raise DataError(
                    f"sentence {number}: word {place} should be a string, but it is a {type(word).__name__}"
                )
            if not word.strip():
                raise DataError(f"sentence {number}: word {place} is blank; expected a character that can be seen")


def _refuse_target(target: object) -> None:
    if target is not None:
        raise ConfigurationError("tagging has no target side: give the sentence alone")
