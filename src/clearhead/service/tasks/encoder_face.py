"""What all faces of an encoder have in common, whatever they answer: sizes, states, and how an input is looked at.

An encoder reads one side, so a target is refused; what an input is, and how it becomes the model's, each face says.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.inspection.inspection import MAX_FULL, Choice, Inspection, inspect_forward
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_only import EncoderOnly

I = TypeVar("I")  # noqa: E741 - what is read: a text, a sentence of words, a sequence of vectors


@dataclass(frozen=True, slots=True)
class Reading:
    """One input as the model reads it: the forward pass over it, and what stands at each position."""

    forward: Callable[[], Tensor]
    shown: Sequence[str]


@dataclass(frozen=True, eq=False)
class EncoderFace(ABC, Generic[I]):
    """A trained encoder, looked at from outside."""

    NO_TARGET: ClassVar[str]

    model: EncoderOnly

    @property
    def config(self) -> ModelConfig:
        """Sizes and choices of the model."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return next(self.model.parameters()).device

    def speller(self, text: object) -> None:
        """Answers are not written token by token."""

    def logits(self, ids: Tensor, target_ids: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """Scores of every label or entry, (B, C) or a position (B, T, C), for ids (B, T); mask (B, T) True is real.

        Ids stand as the model was trained on them, with what surrounds a text; of character n-grams there are none.
        An encoder of vectors reads (B, T, F), already scaled.

        Raises:
            ConfigurationError: ``target_ids`` are given, or the model has no such head.
        """
        self._refuse(target_ids)
        with torch.inference_mode():
            return self.model.logits(ids, mask=mask, ngrams=self._no_ngrams(ids))

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's last layer (B, T, W) for ids (B, T) as in ``logits``."""
        with torch.inference_mode():
            return self.model.states(ids, mask=mask, ngrams=self._no_ngrams(ids))

    def inspect(
        self,
        text: I,
        target: str | None = None,
        *,
        layers: Sequence[int] | None = None,
        heads: Sequence[int] | None = None,
        max_full: int = MAX_FULL,
    ) -> Inspection:
        """Every attention over one input, by name (``encoder.0.self``), what surrounds it included.

        ``layers`` and ``heads`` (from 0) keep only those; maps of up to ``max_full`` rows and columns are given whole,
        longer ones as summary and by rectangle.

        Raises:
            ConfigurationError: a target, which an encoder does not have, or nothing to look at.
        """
        self._refuse(target)
        reading, choice = self.reading(text), Choice(layers, heads, max_full)
        return inspect_forward(self.model, reading.forward, reading.shown, reading.shown, choice=choice)

    @abstractmethod
    def reading(self, text: I) -> Reading:
        """How ``text`` is read.

        Raises:
            ConfigurationError: there is nothing in it.
            DataError: it is no such input.
        """

    def _refuse(self, target: object) -> None:
        if target is not None:
            raise ConfigurationError(self.NO_TARGET)

    def _no_ngrams(self, ids: Tensor) -> Tensor | None:
        return ids.new_zeros((*ids.shape, 1)) if self.config.ngram_buckets else None
