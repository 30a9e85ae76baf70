"""Attach to the seam of every attention in a model from outside, and keep what passes there.

A model's attentions each call one inner step with q, k, v, a mask and a bias (``mechanism.multihead.AttentionStep``).
While a ``capture`` is open a hook on those steps keeps references to what they were given and what they returned.
Nothing is computed until somebody asks, nothing is kept when no capture is open, and the model's own path, fused or
not, runs as ever: looking cannot change the answer. ``inspecting`` keeps the residual stream between them as well.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn

from clearhead.errors import ConfigurationError, nearest
from clearhead.inspection.record import AttentionRecord
from clearhead.inspection.seams import Seam, seams
from clearhead.inspection.stream import apart, keep_stream
from clearhead.inspection.uncompiled import looking
from clearhead.mechanism.multihead import AttentionStep


class HasModel(Protocol):
    """What ``clearhead.load`` returns: a face, and the network behind it."""

    @property
    def model(self) -> nn.Module:
        """The network itself."""


@dataclass(slots=True)
class Capture:
    """What has passed through a model, the latest call of each part.

    ``records``: every attention by name, ``decoder.3.cross``. ``residual``: the stream (B, T, W) after every part,
    ``decoder.embedding``, ``decoder.3.cross``, ``decoder.3``, ``decoder.final``; ``networks``: what each feed-forward
    network gave, ``decoder.3.feedforward``. The last two only from ``inspecting``.
    """

    records: dict[str, AttentionRecord] = field(default_factory=dict)
    residual: dict[str, Tensor] = field(default_factory=dict)
    networks: dict[str, Tensor] = field(default_factory=dict)

    def __getitem__(self, name: str) -> AttentionRecord:
        return named(self.records, name)


def named(records: dict[str, AttentionRecord], name: str) -> AttentionRecord:
    """The attention of this name.

    Raises:
        ConfigurationError: there is none; the nearest name is told.
    """
    if name not in records:
        raise ConfigurationError(f"no attention {name!r} was seen{nearest(name, records)}; there are {_list(records)}")
    return records[name]


def attention_names(model: nn.Module) -> list[str]:
    """The names of all attentions of a model, in the order in which they stand: ``encoder.0.self``, …"""
    return list(seams(model))


@contextmanager
def capture(model: nn.Module | HasModel, names: Sequence[str] | None = None) -> Iterator[Capture]:
    """Keep what passes through the named attentions (all by default) while the context is open.

    Raises:
        ConfigurationError: the model has no attention of that name; the nearest is named.
    """
    seen = Capture()
    places = _chosen(seams(network_of(model)), names)
    with looking(_steps(places), lambda: _attached(seen, places)):
        yield seen


@contextmanager
def inspecting(model: nn.Module | HasModel, *, layers: Collection[int] | None = None) -> Iterator[Capture]:
    """Keep every attention and the residual stream of one's own forward passes, in training and evaluation.

    ``model`` is a network or what ``clearhead.load`` returned. What is kept are references, detached from the graph, of
    the latest call of each part; ``layers`` keeps only those layers, counted from 0 in each stack. Memory is that of
    the kept tensors until the capture is let go.

    Raises:
        ConfigurationError: the model has no such layer.
    """
    network = network_of(model)
    wanted = in_layers(seams(network), layers)
    seen = Capture()

    @contextmanager
    def attach() -> Iterator[None]:
        with _attached(seen, wanted), keep_stream(network, seen.residual, seen.networks, layers):
            yield

    with looking([network, *_steps(wanted)], attach):
        yield seen


def network_of(model: nn.Module | HasModel) -> nn.Module:
    """The network itself, as it is written where ``torch.compile`` returned another."""
    network = model if isinstance(model, nn.Module) else model.model
    written: nn.Module = getattr(network, "_orig_mod", network)
    return written


def in_layers(places: dict[str, Seam], layers: Collection[int] | None) -> dict[str, Seam]:
    """The attentions of these layers, all where none are named."""
    if layers is None:
        return places
    there = {layer_of(name) for name in places}
    for layer in layers:
        if layer not in there:
            raise ConfigurationError(f"layers: expected numbers from 0 to {max(there, default=-1)}, got {layer}")
    return {name: seam for name, seam in places.items() if layer_of(name) in layers}


def layer_of(name: str) -> int:
    """3 for ``decoder.3.cross``; 0 for an attention that stands in no numbered layer."""
    numbers = [part for part in name.split(".") if part.isdecimal()]
    return int(numbers[0]) if numbers else 0


def _chosen(places: dict[str, Seam], names: Sequence[str] | None) -> dict[str, Seam]:
    for name in names or ():
        if name not in places:
            raise ConfigurationError(f"this model has no attention {name!r}{nearest(name, places)}")
    return places if names is None else {name: places[name] for name in names}


@contextmanager
def _attached(seen: Capture, places: dict[str, Seam]) -> Iterator[None]:
    with ExitStack() as stack:
        for seam in places.values():
            handle = seam.step.register_forward_hook(_keeper(seen, seam))
            stack.callback(handle.remove)
        yield


def _steps(places: dict[str, Seam]) -> list[nn.Module]:
    return [seam.step for seam in places.values()]


def _keeper(seen: Capture, seam: Seam) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
    def keep(step: nn.Module, given: tuple[Any, ...], mixed: Tensor) -> None:
        assert isinstance(step, AttentionStep)
        (q, k, v, mask), bias = given[:4], given[4] if len(given) > 4 else None
        q, k, v, mixed = apart(q), apart(k), apart(v), apart(mixed)
        record = AttentionRecord(seam.name, q, k, v, mask, mixed, seam.output, bias, step.score, step.normalize)
        seen.records[seam.name] = record.after(seen.records.get(seam.name)) if step.recurrent else record

    return keep


def _list(names: Collection[str]) -> str:
    return ", ".join(names) or "none"
