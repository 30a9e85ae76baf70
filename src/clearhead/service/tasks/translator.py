"""The face of a model that translates: texts in, predictions out; and every attention behind one of them.

A blank input gives a blank output; an input of more than ``max_positions`` pieces loses its end, and its prediction
says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.generation.batches import generate
from clearhead.generation.settings import DecodingSettings
from clearhead.inspection.inspection import EVERYTHING, MAX_FULL, Choice, Inspection, inspect_forward
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.recipes.sentences import explain
from clearhead.service.prediction import Prediction
from clearhead.service.searched import Searched, search_translation
from clearhead.service.tasks.task import INCOMPLETE, Speller, View
from clearhead.service.texts import listed
from clearhead.tasks.translation import Translation, bounded, one_line


@dataclass(frozen=True, eq=False)
class Translator:
    """A trained encoder–decoder, and the task that knows its tokenizers and how its recipe decodes."""

    model: EncoderDecoder
    task: Translation

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
        """The most pieces of an input that are read; what surrounds it has positions, too."""
        return self.task.longest(self.config.max_positions)

    def parse(self, line: str) -> str:
        """A line is an input as it is."""
        return line

    def predict(self, inputs: Sequence[str], **decoding: Any) -> list[Prediction]:
        """Translate each input; results stand in the same order. Batching is done here.

        ``decoding`` overrides fields of ``DecodingSettings``: ``beam``, ``n_best``, ``sample``, ``temperature``, …

        Raises:
            ConfigurationError: an unknown option (the nearest is named) or an impossible value.
            DataError: an input is no text.
        """
        texts = listed(inputs)
        with torch.inference_mode():
            found = self.task.translate(self.model, texts, self.settings(decoding))
        return [Prediction(text, tuple(answers)) for text, answers in zip(texts, found, strict=True)]

    def speller(self, text: str) -> Speller:
        """The translation so far, in one line."""
        return lambda tokens: one_line(self.task.target.decode([tokens])[0]).rstrip(INCOMPLETE)

    def logits(self, ids: Tensor, target_ids: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """Scores (B, T, V) for source ids (B, S) and target ids (B, T) that begin with the start symbol."""
        with torch.inference_mode():
            return self.model.logits(ids, target_ids, mask=mask)

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's last layer (B, S, W) for ids (B, S)."""
        with torch.inference_mode():
            return self.model.states(ids, mask=mask)

    def inspect(
        self,
        text: str,
        target: str | None = None,
        *,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        max_full: int = MAX_FULL,
    ) -> Inspection:
        """Every attention of one translation, by name. Row t of a decoder's map belongs to the piece written at t.

        ``target`` is the translation to look at; the model's own when not given. Both sides end with the end symbol.
        ``layers`` and ``heads`` (from 0) keep only those; maps of up to ``max_full`` rows and columns are given whole,
        longer ones as summary and by rectangle.
        """
        return self.inspect_ids(*self.pair(text, target), choice=Choice(layers, heads, max_full))

    def inspect_search(
        self,
        text: str,
        *,
        decoding: Mapping[str, Any] = MappingProxyType({}),
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        max_full: int = MAX_FULL,
    ) -> Searched:
        """Translate one text as ``predict`` does, and look at every hypothesis while it is searched for, cache and all.

        ``decoding`` overrides fields of ``DecodingSettings`` (``{"beam": 5, "n_best": 3}``); the rest as in
        ``inspect``.
        """
        (source,) = self.task.source.encode([text])
        choice, settings = Choice(layers, heads, max_full), self.settings(dict(decoding))
        return search_translation(self.model, self.task, source[: self.longest], settings, choice)

    def view(self, text: str, target: str | None = None) -> View:
        """One translation looked at: where the decoder looked in the source."""
        source, written = self.pair(text, target)
        answer = self.task.target.decode([written])[0]
        return View(text, answer, self.inspect_ids(source, written), "cross")

    def pair(self, text: str, target: str | None = None) -> tuple[list[int], list[int]]:
        """Ids of ``text`` and what is written for it (the model's own when not given), the end symbol left out."""
        source = self.task.source.encode([text])[0][: self.longest]
        if target is not None:
            room = self.task.longest_target(self.config.max_positions)
            return source, [*self.task.target.symbols.opening, *self.task.target.encode([target])[0][:room]]
        settings = bounded(self.task.decoding, self.config.max_positions).model_copy(update={"n_best": 1})
        with torch.inference_mode():
            found = generate(self.model, [source], settings, device=self.device, symbols=self.task.symbols)
        return source, list(found[0][0].tokens)[: self.config.max_positions - 1]  # what is fed begins with the start

    def inspect_ids(self, source: Sequence[int], written: Sequence[int], *, choice: Choice = EVERYTHING) -> Inspection:
        """Every attention for a source's ids without special tokens, and for what is written, its end left out."""
        symbols = self.task.symbols
        read, fed = symbols.surrounded(source), [symbols.start, *written]
        ids, target_in = (torch.tensor([row], device=self.device) for row in (read, fed))
        return inspect_forward(
            self.model,
            lambda: self.model.logits(ids, target_in),
            self.task.source.pieces(read),
            self.task.target.pieces([*written, *symbols.closing]),
            fed=self.task.target.pieces(fed),
            choice=choice,
        )

    def settings(self, decoding: dict[str, Any]) -> DecodingSettings:
        """The run's decoding settings with these overridden."""
        room = self.config.max_positions
        try:
            settings = DecodingSettings.model_validate(bounded(self.task.decoding, room).model_dump() | decoding)
        except ValidationError as error:
            raise ConfigurationError(explain(error, DecodingSettings, "decoding")) from None
        if settings.max_length > room:
            raise ConfigurationError(
                f"decoding: max_length: this model has room for {room} pieces, got {settings.max_length}"
            )
        return settings
