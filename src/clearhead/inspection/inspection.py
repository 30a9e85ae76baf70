"""One input looked at: the tokens of both sides, every attention by name, the residual stream, the logits.

Whole maps where they are short, summaries and rectangles where they are long, computed when they are asked for; plain
data for JSON and for a binary frame is ``inspection.plain``'s. Knows nothing of tasks: who makes one brings the tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.capture import inspecting, named
from clearhead.inspection.notebook import grid_of_heads
from clearhead.inspection.plain import PLAIN, Labels, PlainInspection, plain
from clearhead.inspection.record import AttentionRecord
from clearhead.inspection.tiles import checked_heads
from clearhead.mechanism.masks import Span
from clearhead.mechanism.summary import AttentionSummary

MAX_FULL = 512


@dataclass(frozen=True, slots=True)
class Choice:
    """What of a model is to be looked at: ``layers`` and ``heads`` counted from 0 (None: all), and up to how many rows
    or columns a map counts as short enough to be given whole."""

    layers: Sequence[int] | None = None
    heads: Sequence[int] | None = None
    max_full: int = MAX_FULL


EVERYTHING = Choice()


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """One input looked at.

    ``source`` and ``target`` are the tokens of both sides; in a model with one side they are the same. Row t of a
    decoder's map belongs to ``target[t]``, the token written there; its columns are ``fed``, what the decoder had read
    by then (the start symbol first). ``logits`` are (T, V), or whatever the model told: (C,) of a whole text.
    ``residual`` (T, W) by station and ``networks``: see ``inspection.stream``. ``heads`` are those that are shown.
    """

    source: tuple[str, ...]
    target: tuple[str, ...]
    attentions: dict[str, AttentionRecord]
    logits: Tensor
    fed: tuple[str, ...] = ()
    residual: dict[str, Tensor] = field(default_factory=dict)
    networks: dict[str, Tensor] = field(default_factory=dict)
    heads: tuple[int, ...] | None = None
    max_full: int = MAX_FULL

    def __getitem__(self, name: str) -> AttentionRecord:
        """The attention of this name: ``inspection["decoder.3.cross"]``."""
        return named(self.attentions, name)

    def named(self, kind: str) -> list[str]:
        """The names of one kind: "cross", or "self"."""
        return [name for name in self.attentions if name.endswith(kind)]

    def tokens(self, name: str) -> Labels:
        """The tokens of the rows and of the columns of one attention's map."""
        record = self[name]
        if record.kind == "cross":
            return Labels(self.target, self.source)
        if name.startswith("decoder"):
            return Labels(self.target, self.fed or self.target)
        return Labels(self.source, self.source)

    def shown(self, name: str) -> list[int]:
        """The heads of one attention that are shown."""
        return checked_heads(self.heads, self[name].heads)

    def is_full(self, name: str) -> bool:
        """Whether the map of one attention is short enough to be given whole."""
        return max(self[name].queries, self[name].keys) <= self.max_full

    def weights(self, name: str) -> Tensor:
        """The weights of one attention, (h, T, S); rows and columns are ``tokens(name)``.

        Raises:
            ConfigurationError: the map is longer than ``max_full``: take ``summary`` and ``tile``.
        """
        self._refuse_long(name)
        return self[name].weights()[0, self.shown(name)]

    def scores(self, name: str) -> Tensor:
        """The scaled scores of one attention before the mask, (h, T, S); refused as in ``weights``."""
        self._refuse_long(name)
        return self[name].scores()[0, self.shown(name)]

    def additions(self, name: str) -> Tensor:
        """What each head of one attention adds to the residual stream, (h, T, W)."""
        with torch.no_grad():
            return self[name].additions(self.heads)[0]

    def summary(self, name: str) -> AttentionSummary:
        """What there is to say of one attention's map at any length, of all heads; see ``mechanism.summary``."""
        return self[name].summary

    def tile(self, name: str, rows: Span, columns: Span) -> Tensor:
        """Any rectangle of one attention's weights, (h, t, s); spans are (first, behind the last)."""
        return self[name].tile(rows, columns, self.heads)[0]

    def plain(self, parts: Collection[str] = PLAIN) -> PlainInspection:
        """The chosen parts as arrays and text alone, without model; see ``inspection.plain.PARTS``.

        Raises:
            ConfigurationError: there is no such part; the nearest is named.
        """
        return plain(self, parts)

    def to_dict(self, parts: Collection[str] = PLAIN) -> dict[str, Any]:
        """Plain data for JSON, numbers rounded to 6 digits; the layout is in ``docs/inspection.md``."""
        return self.plain(parts).to_dict()

    def to_frame(self, parts: Collection[str] = PLAIN) -> bytes:
        """The same in binary, float32 as it is: a safetensors file; ``PlainInspection.from_frame`` reads it."""
        return self.plain(parts).to_frame()

    def _repr_html_(self) -> str:
        return grid_of_heads(self)

    def _refuse_long(self, name: str) -> None:
        record = self[name]
        if not self.is_full(name):
            raise ConfigurationError(
                f"the map of {name} has {record.queries} × {record.keys} entries a head, and more than max_full = "
                f"{self.max_full} rows or columns are not given whole: take summary({name!r}) and tile({name!r}, rows, "
                "columns), or look again with a larger max_full"
            )


Forward = Callable[[], Tensor]


def inspect_forward(
    model: nn.Module,
    forward: Forward,
    source: Sequence[str],
    target: Sequence[str],
    *,
    fed: Sequence[str] = (),
    choice: Choice = EVERYTHING,
) -> Inspection:
    """Run ``forward`` (one sentence through ``model``, returning logits (1, …)) and keep what passed on the way.

    Raises:
        ConfigurationError: the model has no such layer or head.
    """
    if choice.max_full < 0:
        raise ConfigurationError(f"max_full must be a length of 0 or more, got {choice.max_full}")
    with torch.no_grad(), inspecting(model, layers=choice.layers) as seen:
        logits = forward()
    for record in seen.records.values():
        checked_heads(choice.heads, record.heads)
    return Inspection(
        source=tuple(source),
        target=tuple(target),
        attentions=seen.records,
        logits=logits[0],
        fed=tuple(fed),
        residual={name: stream[0] for name, stream in seen.residual.items()},
        networks={name: output[0] for name, output in seen.networks.items()},
        heads=None if choice.heads is None else tuple(choice.heads),
        max_full=choice.max_full,
    )
