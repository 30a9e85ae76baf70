"""The face of an encoder without a task of its own: texts in, vectors out; and every attention behind one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.recipes.sentences import explain
from clearhead.service.tasks.encoder_face import EncoderFace, Reading
from clearhead.service.tasks.task import View
from clearhead.service.texts import listed
from clearhead.tasks.embedding import embed
from clearhead.tasks.embedding_settings import EmbeddingSettings
from clearhead.text.tokenizer import Tokenizer

USUAL = EmbeddingSettings()


@dataclass(frozen=True, eq=False)
class Embedding:
    """The vector of one text, (W,) float32."""

    input: str
    vector: npt.NDArray[np.float32]
    truncated: bool = False

    @property
    def text(self) -> str:
        """The vector as one line of numbers with spaces between."""
        return " ".join(f"{value:.7g}" for value in self.vector.tolist())

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"input": self.input, "text": self.text, "vector": self.vector.tolist(), "truncated": self.truncated}


@dataclass(frozen=True, eq=False)
class Embedder(EncoderFace[str]):
    """An encoder, the tokenizer that came with it, and how its states become one vector."""

    NO_TARGET = "an embedding has no target side: give the text alone"

    tokenizer: Tokenizer
    settings: EmbeddingSettings = USUAL

    @property
    def longest(self) -> int:
        """The most tokens of a text that are read, beside those that surround it."""
        return self._room(self.settings)

    def parse(self, line: str) -> str:
        """A line is a text as it is."""
        return line

    def predict(self, inputs: Sequence[str], **decoding: Any) -> list[Embedding]:
        """The vector of each text; results stand in the same order. Options are those of ``EmbeddingSettings``.

        Raises:
            ConfigurationError: an option is unknown or impossible here, or one text was given instead of a list.
            DataError: an input is no text.
        """
        settings, texts = self._settings(decoding), listed(inputs)
        if not texts:
            return []
        room = self._room(settings)
        cut = self.tokenizer.encode(texts)
        ids = [self.tokenizer.symbols.surrounded(text[:room]) for text in cut]
        pad = self.tokenizer.symbols.pad
        vectors = embed(self.model, ids, settings, pad=pad, device=self.device).numpy()
        return [
            Embedding(text, vector, truncated=len(whole) > room)
            for text, vector, whole in zip(texts, vectors, cut, strict=True)
        ]

    def reading(self, text: str) -> Reading:
        """With what surrounds a text."""
        (cut,) = self.tokenizer.encode([text])
        read = self.tokenizer.symbols.surrounded(cut[: self.longest])
        if not read:
            raise ConfigurationError("there is nothing to look at: the text is empty")
        ids = torch.tensor([read], device=self.device)
        return Reading(lambda: self._told(ids), self.tokenizer.pieces(read))

    def view(self, text: str, target: str | None = None) -> View:
        """One text looked at: where each position looked."""
        return View(text, f"a vector of {self.config.width} numbers", self.inspect(text, target), "self")

    def _told(self, ids: Tensor) -> Tensor:
        """Logits of every entry or class; (1, T, 0) from a model that has none."""
        return self.model.states(ids)[..., :0] if self.config.head.kind == "none" else self.model.logits(ids)

    def _room(self, settings: EmbeddingSettings) -> int:
        limit = min(settings.max_length or self.config.max_positions, self.config.max_positions)
        room = limit - len(self.tokenizer.symbols.surrounded([]))
        if room < 0:
            raise ConfigurationError(
                f"max_length = {limit} has no room for the {limit - room} tokens that surround every text"
            )
        return room

    def _settings(self, options: dict[str, Any]) -> EmbeddingSettings:
        try:
            settings = EmbeddingSettings.model_validate(self.settings.model_dump() | options)
        except ValidationError as error:
            raise ConfigurationError(explain(error, EmbeddingSettings, "embedding")) from None
        if settings.pooling == "model" and self.config.pooling == "none":
            raise ConfigurationError('pooling = "model": this model has no pooling of its own; "mean" or "first"')
        return settings
