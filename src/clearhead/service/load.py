"""Opens a finished run and gives it a face: predict, logits, states, inspect.

The run's files are checked before anything is allocated from them. A blank input gives a blank output; an input of more
than ``max_positions`` pieces loses its end, and its prediction says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import ValidationError
from torch import Tensor

from clearhead.errors import ConfigurationError, RunError
from clearhead.generation.batches import generate
from clearhead.generation.settings import DecodingSettings
from clearhead.inspection.capture import Inspection, inspect_forward
from clearhead.models.account import account
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.recipes.sentences import explain
from clearhead.service.device import pick_device
from clearhead.service.prediction import BLANK, Alternative, Prediction
from clearhead.service.run_folder import RunFolder
from clearhead.service.weights import check_count, read_weights
from clearhead.text.tokenizer import END, START, Tokenizer


@dataclass(frozen=True, eq=False)
class Translator:
    """A trained encoder–decoder with its two tokenizers and the decoding its recipe asks for."""

    model: EncoderDecoder
    source: Tokenizer
    target: Tokenizer
    decoding: DecodingSettings

    @property
    def config(self) -> ModelConfig:
        """Sizes and choices of the model."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model lives."""
        return self.model.output_weight.device

    def with_model(self, model: EncoderDecoder) -> Translator:
        """The same tokenizers and decoding around another model."""
        return replace(self, model=model)

    def predict(self, inputs: Sequence[str], **decoding: Any) -> list[Prediction]:
        """Translate each input; results stand in the same order. Batching is done here.

        ``decoding`` overrides fields of ``DecodingSettings``: ``beam``, ``n_best``, ``sample``, ``temperature``, …

        Raises:
            ConfigurationError: an unknown option (the nearest is named) or an impossible value.
            DataError: an input is no text.
        """
        settings = self.settings(decoding)
        rows = [_Row(text, ids[: self.longest], len(ids) > self.longest) for text, ids in self._encoded(inputs)]
        spoken = [row for row in rows if row.ids]
        with torch.inference_mode():
            found = generate(self.model, [row.ids for row in spoken], settings, device=self.device)
        answers = iter(found)
        return [
            Prediction(row.text, tuple(Alternative.of(each, self.target) for each in next(answers)), row.cut)
            if row.ids
            else Prediction(row.text, (BLANK,) * settings.n_best)
            for row in rows
        ]

    def logits(self, ids: Tensor, target_ids: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """Scores (B, T, V) for source ids (B, S) and target ids (B, T) that begin with the start symbol."""
        with torch.inference_mode():
            return self.model.logits(ids, target_ids, mask=mask)

    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's last layer (B, S, W) for ids (B, S)."""
        with torch.inference_mode():
            return self.model.states(ids, mask=mask)

    def inspect(self, text: str, target: str | None = None) -> Inspection:
        """Every attention of one translation, by name. Row t of a decoder's map belongs to the piece written at t.

        ``target`` is the translation to look at; the model's own when not given. Both sides end with the end symbol.
        """
        source, written = self.pair(text, target)
        return self.inspect_ids(source, written)

    def pair(self, text: str, target: str | None = None) -> tuple[list[int], list[int]]:
        """Ids of ``text`` and of its translation (the model's own when not given), without special tokens."""
        source = self.source.encode([text])[0][: self.longest]
        if target is not None:
            return source, self.target.encode([target])[0][: self.longest]
        with torch.inference_mode():
            best = generate(self.model, [source], self.settings({"n_best": 1}), device=self.device)[0][0]
        return source, list(best.tokens)

    def inspect_ids(self, source: Sequence[int], written: Sequence[int]) -> Inspection:
        """Every attention for ids without special tokens."""
        ids = torch.tensor([[*source, END]], device=self.device)
        target_in = torch.tensor([[START, *written]], device=self.device)
        return inspect_forward(
            self.model,
            lambda: self.model.logits(ids, target_in),
            self.source.pieces([*source, END]),
            self.target.pieces([*written, END]),
        )

    def settings(self, decoding: dict[str, Any]) -> DecodingSettings:
        """The run's decoding settings with these overridden."""
        room = self.config.max_positions
        bounded = {"max_length": min(self.decoding.max_length, room)}
        try:
            settings = DecodingSettings.model_validate(self.decoding.model_dump() | bounded | decoding)
        except ValidationError as error:
            raise ConfigurationError(explain(error, DecodingSettings, "decoding")) from None
        if settings.max_length > room:
            raise ConfigurationError(
                f"decoding: max_length: this model has room for {room} pieces, got {settings.max_length}"
            )
        return settings

    @property
    def longest(self) -> int:
        """The most pieces of an input that are read; one position goes to the end symbol."""
        return self.config.max_positions - 1

    def _encoded(self, inputs: Sequence[str]) -> list[tuple[str, list[int]]]:
        """Each input with its ids; none for a blank one."""
        if isinstance(inputs, (str, bytes)):
            raise ConfigurationError("expected a list of texts, got one text: write [text]")
        texts = list(inputs)
        return [(text, ids if text.strip() else []) for text, ids in zip(texts, self.source.encode(texts), strict=True)]


@dataclass(frozen=True)
class _Row:
    text: str
    ids: list[int]
    cut: bool


def load(path: str | Path, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Translator:
    """The model of a finished run, ready to predict.

    Args:
        path: a run folder.
        device: such as "cpu" or "cuda"; a GPU where there is one, when not given.
        dtype: of the weights; float32 when not given.

    Raises:
        RunError: the folder is no finished run, or a file in it is missing or damaged; the message names it.
        ConfigurationError: the device or dtype cannot be used.
    """
    run = RunFolder.open(path)
    card = run.card()
    if not run.weights_file.is_file():
        raise RunError(f"{run.path} has no {run.weights_file.name}: its training is not finished; go on with --resume")
    source, target = run.tokenizers()
    _check_sizes(run, card.model, (source, target))
    check_count(run.weights_file, account(card.model).total)
    model = cast(EncoderDecoder, build_model(card.model, seed=0))
    read_weights(run.weights_file, model, sha256=card.weights_sha256)
    model.to(device=pick_device(device), dtype=_checked(dtype)).eval()
    return Translator(model, source, target, run.recipe().decoding)


def _check_sizes(run: RunFolder, config: ModelConfig, tokenizers: tuple[Tokenizer, Tokenizer]) -> None:
    wanted = (config.source_vocabulary, config.target_vocabulary)
    found = (tokenizers[0].size, tokenizers[1].size)
    if wanted != found:
        raise RunError(
            f"{run.path}: by {run.card_file.name} the vocabularies have {wanted[0]} and {wanted[1]} entries, but the "
            f"tokenizer files have {found[0]} and {found[1]}; do they belong to another run?"
        )


def _checked(dtype: torch.dtype | None) -> torch.dtype:
    if dtype is None:
        return torch.float32
    if not dtype.is_floating_point:
        raise ConfigurationError(f"dtype: expected a floating one such as torch.float32, got {dtype}")
    return dtype
