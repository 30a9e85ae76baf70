"""The face of a model that tags: sentences in, a tag a word out; and every attention behind one of them.

A sentence is a list of words, or a line of them with spaces between. A line that is a JSON list is that list, so that a
word may hold spaces. A sentence longer than the limit is read in parts, and nothing of it is lost.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from clearhead.errors import ConfigurationError, DataError
from clearhead.service.tasks.encoder_face import EncoderFace, Reading
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
class Tagger(EncoderFace[Sentence]):
    """A trained encoder with a tag for every word, and the task that knows words and tags."""

    NO_TARGET = "tagging has no target side: give the sentence alone"

    task: Tagging

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

    def reading(self, text: Sentence) -> Reading:
        """Of a long sentence, its first part; each position shows the piece, or the word, that stands there."""
        words = self.parse(text) if isinstance(text, str) else list(text)
        _check([words])
        work = next(self.task.batches([words]), None)
        if work is None:
            raise ConfigurationError("there is nothing to look at: the sentence has no words")
        batch, part = work.batch.to(self.device), work.where[0][1]
        shown = self.task.reader.shown(words[part])[: batch.ids.shape[1]]
        return Reading(
            lambda: self.model.logits(batch.ids, mask=batch.mask, ngrams=batch.ngrams, words=batch.words), shown
        )

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
