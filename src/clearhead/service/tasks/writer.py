"""The face of a language model: prompts in, continuations out; and every attention behind one text.

An empty prompt begins a text; of a prompt longer than the context the last tokens are read (see ``Continued.unread``).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.generation.settings import ContinuationSettings
from clearhead.inspection.inspection import MAX_FULL, Choice, Inspection, inspect_forward
from clearhead.models.config import ModelConfig
from clearhead.models.decoder_only import DecoderOnly
from clearhead.recipes.sentences import explain
from clearhead.service.searched import Searched, search_continuation
from clearhead.service.tasks.task import INCOMPLETE, Speller, View
from clearhead.service.texts import listed
from clearhead.tasks.language_modelling import Continued, LanguageModelling
from clearhead.tasks.translation import one_line


@dataclass(frozen=True)
class Continuation:
    """The answer to one prompt, best alternative first. As a string it is the whole text, prompt included."""

    input: str
    alternatives: tuple[Continued, ...]

    @property
    def text(self) -> str:
        """The whole text as one line: its line ends are spaces here."""
        return one_line(self.alternatives[0].text)

    @property
    def truncated(self) -> bool:
        """Never: of a long prompt it is the beginning that is not read, see ``unread``."""
        return False

    def __str__(self) -> str:
        return self.alternatives[0].text

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the best alternative's own keys, line ends as they are, then ``n_best``, all of them."""
        tables = [dataclasses.asdict(each) for each in self.alternatives]
        return {"input": self.input, **tables[0], "n_best": tables}


@dataclass(frozen=True, eq=False)
class Writer:
    """A trained language model, and the task that knows its tokenizer and how its recipe goes on with a text."""

    model: DecoderOnly
    task: LanguageModelling

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
        """The most tokens that are looked back at."""
        return self.task.context

    def parse(self, line: str) -> str:
        """A line is a prompt as it is; ``{"prompt": "two\\\\nlines"}`` is one that holds line ends."""
        if line.startswith("{"):
            try:
                table = json.loads(line)
            except (ValueError, RecursionError):
                return line
            if isinstance(table, dict) and list(table) == ["prompt"] and isinstance(table["prompt"], str):
                return table["prompt"]
        return line

    def predict(self, inputs: Sequence[str], **decoding: Any) -> list[Continuation]:
        """Go on with each prompt; results stand in the same order. Batching is done here.

        ``decoding`` overrides fields of ``ContinuationSettings``: ``max_length``, ``temperature``, ``seed``, …

        Raises:
            ConfigurationError: an unknown option (the nearest is named) or an impossible value.
            DataError: a prompt is no text.
        """
        texts, settings = listed(inputs), self.settings(decoding)
        with torch.inference_mode():
            found = self.task.continue_texts(self.model, texts, settings, device=self.device)
        return [Continuation(text, tuple(answers)) for text, answers in zip(texts, found, strict=True)]

    def speller(self, text: str) -> Speller:
        """The continuation so far, without the prompt."""
        (row,) = self.task.tokenizer.encode([text])
        (head,) = self.task.tokenizer.decode([row])

        def spell(tokens: Sequence[int]) -> str:
            (whole,) = self.task.tokenizer.decode([[*row, *tokens]])
            return whole.removeprefix(head).rstrip(INCOMPLETE)

        return spell

    def logits(self, ids: Tensor, target_ids: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """Scores (B, T, V) of what comes next after each of ids (B, T), which begin as a text does.

        Raises:
            ConfigurationError: ``target_ids`` are given, which this task does not have.
        """
        if target_ids is not None:
            raise ConfigurationError("a language model reads one sequence: put target_ids behind ids")
        with torch.inference_mode():
            return self.model.logits(ids, documents=_apart(mask))

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The last layer (B, T, W) for ids (B, T)."""
        with torch.inference_mode():
            return self.model.hidden(ids, documents=_apart(mask))

    def inspect(
        self,
        text: str,
        target: str | None = None,
        *,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        max_full: int = MAX_FULL,
    ) -> Inspection:
        """Every attention of one text, with ``target`` behind it where that is given, by name; nothing is generated.

        The logits at a token are about the next. A text longer than the context is looked at from its end.
        ``layers`` and ``heads`` (from 0) keep only those; maps of up to ``max_full`` rows and columns are given whole,
        longer ones as summary and by rectangle.
        """
        (row,) = self.task.tokenizer.encode([text + (target or "")])
        read = self.task.prompt(row)[-self.task.context :]
        ids, pieces = torch.tensor([read], device=self.device), self.task.tokenizer.pieces(read)
        return inspect_forward(
            self.model, lambda: self.model.logits(ids), pieces, pieces, choice=Choice(layers, heads, max_full)
        )

    def inspect_search(
        self,
        text: str,
        *,
        decoding: Mapping[str, Any] = MappingProxyType({}),
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        max_full: int = MAX_FULL,
    ) -> Searched:
        """Go on with one prompt as ``predict`` does, and look at every hypothesis or sample while it is searched for.

        ``decoding`` overrides fields of ``ContinuationSettings``. The logits are about the tokens behind the prompt,
        the first of them at its end; the rest as in ``inspect``.

        Raises:
            ConfigurationError: prompt and continuation do not fit into the context together.
        """
        (row,) = self.task.tokenizer.encode([text])
        choice, settings = Choice(layers, heads, max_full), self.settings(dict(decoding))
        return search_continuation(self.model, self.task, self.task.prompt(row), settings, choice)

    def view(self, text: str, target: str | None = None) -> View:
        """The same: every token looks at those before it."""
        return View(text, target or "", self.inspect(text, target), "self")

    def settings(self, decoding: dict[str, Any]) -> ContinuationSettings:
        """The run's settings with these overridden; who asks for a beam does not want a draw."""
        chosen = {"sample": False} | decoding if "beam" in decoding else decoding
        try:
            return ContinuationSettings.model_validate(self.task.decoding.model_dump() | chosen)
        except ValidationError as error:
            raise ConfigurationError(explain(error, ContinuationSettings, "decoding")) from None


def _apart(mask: Tensor | None) -> Tensor | None:
    """Padding (False in ``mask``) as a document of its own, which no real token sees."""
    return None if mask is None or bool(mask.all()) else mask.long()
