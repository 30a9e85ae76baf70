"""The attention behind one answer, as plain data: pieces on both sides, and a map for every head of every layer.

Where something is written (a translation), row t of a map belongs to the piece written at t: it says where the model
looked when it wrote that piece. Elsewhere the text looks at itself. Drawing is left to whoever shows it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.seams import seams
from clearhead.service.tasks.task import Predictor
from clearhead.text.tokenizer import END, SPECIAL_PIECES

SPACE = "▁"  # how a tokenizer writes the space in front of a word
BYTE = re.compile("<0x([0-9A-F]{2})>")  # and a byte of a character it has no piece for
VISIBLE = str.maketrans({SPACE: "␣", " ": "␣", "\n": "⏎", "\t": "⇥"})  # what would leave a label blank or break it
Map = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Look:
    """Attention of one kind: ``layers[l][h]`` is a map (T, S): rows ``target``, columns ``source``."""

    text: str
    answer: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    names: tuple[str, ...]
    layers: tuple[Map, ...]

    def labels(self) -> tuple[list[str], list[str]]:
        """The pieces of source and target as a reader wants them."""
        return readable(self.source), readable(self.target)

    def choose(self, layer: int | None = None, head: int | None = None) -> tuple[str, Map]:
        """One map and its name: a head, the mean of a layer's heads, or the mean of all. Counted from 0.

        Raises:
            ConfigurationError: there is no such layer or head, or a head was asked for without its layer.
        """
        if layer is None:
            if head is not None:
                raise ConfigurationError(f"head {head} of which layer? give a layer with it")
            return "mean of all heads", np.mean([maps.mean(0) for maps in self.layers], axis=0, dtype=np.float32)
        _check("layer", layer, len(self.layers))
        maps = self.layers[layer]
        if head is None:
            return f"layer {layer}, mean of its heads", maps.mean(0)
        _check("head", head, len(maps))
        return f"layer {layer}, head {head}", maps[head]

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON; weights rounded to 5 digits."""
        return {
            "input": self.text,
            "text": self.answer,
            "source": list(self.source),
            "target": list(self.target),
            "attention": {
                name: np.round(maps.astype(np.float64), 5).tolist()
                for name, maps in zip(self.names, self.layers, strict=True)
            },
        }


def look_at(predictor: Predictor, text: str, target: str | None = None) -> Look:
    """Answer ``text`` (or take ``target`` for the answer, where the task writes one) and keep where every head looked.

    Raises:
        ConfigurationError: the text is empty, or the model has no attention.
    """
    if not text.strip():
        raise ConfigurationError("there is nothing to look at: the text is empty")
    view = predictor.view(text, target)
    seen = view.inspection
    names = _in_order(seen.named(view.shown))
    if not names:
        raise ConfigurationError(f"there is no attention to look at: this model's body is {predictor.config.body!r}")
    layers = tuple(seen[name].weights()[0].float().cpu().numpy() for name in names)
    return Look(view.text, view.answer, seen.source, seen.target, tuple(names), layers)


def place_of(model: nn.Module, layer: int | None, head: int | None) -> dict[str, str]:
    """The same choice as ``Look.choose`` as the page's address has it: the attention's name, and head −1 for the mean.

    Raises:
        ConfigurationError: there is no such layer or head, or a head was asked for without its layer.
    """
    if layer is None:
        if head is not None:
            raise ConfigurationError(f"head {head} of which layer? give a layer with it")
        return {}
    places = seams(model)
    names = _in_order([name for name in places if name.endswith("cross")] or list(places))
    _check("layer", layer, len(names))
    if head is not None:
        _check("head", head, places[names[layer]].heads)
    return {"attention": names[layer], "head": str(-1 if head is None else head)}


def readable(pieces: Sequence[str]) -> list[str]:
    """Pieces without the mark of a word's start; where words are cut, a piece that goes on gets a hyphen in front.

    A space that is a piece of its own becomes ``␣``, a line end ``⏎``, a tab ``⇥``, the end symbol ``end``.
    """
    cut = cuts_words(pieces)
    return [_label(piece, cut=cut and place > 0) for place, piece in enumerate(pieces)]


def readable_alone(piece: str, *, cut: bool) -> str:
    """One piece as it would stand among others; ``cut`` says whether words are cut there."""
    return _label(piece, cut=cut)


def cuts_words(pieces: Sequence[str]) -> bool:
    """Whether these pieces are of a tokenizer that marks where words begin."""
    return any(len(piece) > 1 and piece.startswith(SPACE) for piece in pieces)


def _label(piece: str, *, cut: bool) -> str:
    if piece == SPECIAL_PIECES[END]:
        return "end"
    if piece in SPECIAL_PIECES:
        return piece
    byte = BYTE.fullmatch(piece)
    if byte and (0x20 <= int(byte[1], 16) <= 0x7E or int(byte[1], 16) in b"\t\n"):
        piece = chr(int(byte[1], 16))
    begins = piece.startswith(SPACE)
    rest = piece.removeprefix(SPACE).translate(VISIBLE) or "␣"
    return f"-{rest}" if cut and not begins and rest[0].isalnum() else rest


def _in_order(names: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda name: int(name.split(".")[1]))


def _check(what: str, number: int, count: int) -> None:
    if not 0 <= number < count:
        raise ConfigurationError(f"{what}: expected a number from 0 to {count - 1}, got {number}")
