"""Attach to the seam of every attention in a model from outside, and keep what passes there.

A model's attentions each call one inner step with q, k, v, a mask and a bias (``mechanism.multihead.AttentionStep``).
While a ``capture`` is open a hook on those steps keeps references to what they were given and what they returned.
Nothing is computed until somebody asks, nothing is kept when no capture is open, and the model's own path, fused or
not, runs as ever: looking cannot change the answer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from clearhead.errors import ConfigurationError, nearest
from clearhead.mechanism.attention import attention_scores, attention_weights
from clearhead.mechanism.biases import Bias
from clearhead.mechanism.masks import Mask
from clearhead.mechanism.multihead import AttentionStep, value_up
from clearhead.mechanism.normalizers import Normalizer
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import Score

_PLACE = re.compile(r"(\w+)\.(?:blocks\.(\d+)\.)?(\w+)_attention\.step")


@dataclass(frozen=True, slots=True, eq=False)
class AttentionRecord:
    """One call of one attention: q (B, H, T, D), k (B, G, S, D), v (B, G, S, M), the mask, and z (B, H, T, M).

    With what shaped its weights: the bias, the score and the normaliser, whose own weights are the model's still.
    """

    name: str
    q: Tensor
    k: Tensor
    v: Tensor
    mask: Mask | None
    mixed: Tensor
    output: nn.Linear
    bias: Bias | None = None
    score: Score = "scaled_dot"
    normalize: Normalizer = "softmax"

    def problem(self) -> Problem:
        """What this call had to compute, as in evaluation."""
        return Problem(self.q, self.k, self.v, self.mask, self.bias, score=self.score, normalize=self.normalize)

    def scores(self) -> Tensor:
        """Scaled scores before the mask (B, H, T, S)."""
        with torch.no_grad():
            return attention_scores(self.q, self.k, bias=self.bias, score=self.score)

    def weights(self) -> Tensor:
        """The whole map of attention weights (B, H, T, S)."""
        with torch.no_grad():
            return attention_weights(
                self.q, self.k, mask=self.mask, bias=self.bias, score=self.score, normalize=self.normalize
            )

    def after(self, earlier: AttentionRecord | None) -> AttentionRecord:
        """This call behind ``earlier`` ones of a recurrence, which looked at the very same keys with other queries."""
        if earlier is None or earlier.k.data_ptr() != self.k.data_ptr() or earlier.k.shape != self.k.shape:
            return self
        q, mixed = torch.cat((earlier.q, self.q), dim=2), torch.cat((earlier.mixed, self.mixed), dim=2)
        return replace(self, q=q, mixed=mixed)

    def additions(self) -> Tensor:
        """What each head adds to the residual stream (B, H, T, W); over heads, with the bias, the block's output."""
        return self.mixed @ value_up(self.output, self.mixed.shape[1])


@dataclass(slots=True)
class Capture:
    """What has passed through the attentions of a model, the latest call of each, by name: ``decoder.3.cross``."""

    records: dict[str, AttentionRecord] = field(default_factory=dict)

    def __getitem__(self, name: str) -> AttentionRecord:
        if name not in self.records:
            raise ConfigurationError(
                f"no attention {name!r} was seen{nearest(name, self.records)}; there are {', '.join(self.records)}"
            )
        return self.records[name]


def attention_names(model: nn.Module) -> list[str]:
    """The names of all attentions of a model, in the order in which they stand: ``encoder.0.self``, …"""
    return [name for name, _, _ in _steps(model)]


@contextmanager
def capture(model: nn.Module, names: Sequence[str] | None = None) -> Iterator[Capture]:
    """Keep what passes through the named attentions (all by default) while the context is open.

    Raises:
        ConfigurationError: the model has no attention of that name; the nearest is named.
    """
    places = {name: (step, output) for name, step, output in _steps(model)}
    for name in names or ():
        if name not in places:
            raise ConfigurationError(f"this model has no attention {name!r}{nearest(name, places)}")
    seen = Capture()
    handles: list[RemovableHandle] = []
    try:
        for name in names or places:
            step, output = places[name]
            handles.append(step.register_forward_hook(_keeper(seen, name, output)))
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _keeper(seen: Capture, name: str, output: nn.Linear) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
    def keep(step: nn.Module, given: tuple[Any, ...], mixed: Tensor) -> None:
        assert isinstance(step, AttentionStep)
        (q, k, v, mask), bias = given[:4], given[4] if len(given) > 4 else None
        q, k, v, mixed = q.detach(), k.detach(), v.detach(), mixed.detach()
        record = AttentionRecord(name, q, k, v, mask, mixed, output, bias, step.score, step.normalize)
        seen.records[name] = record.after(seen.records.get(name)) if step.recurrent else record

    return keep


def _steps(model: nn.Module) -> Iterator[tuple[str, AttentionStep, nn.Linear]]:
    for path, module in model.named_modules():
        if isinstance(module, AttentionStep):
            found = _PLACE.fullmatch(path)
            name = ".".join(found.groups(default="0")) if found else path.removesuffix(".step")
            parent = model.get_submodule(path.rpartition(".")[0])
            output = parent.get_submodule("output")
            assert isinstance(output, nn.Linear)
            yield name, module, output


@dataclass(frozen=True, slots=True, eq=False)
class Inspection:
    """One input looked at: the tokens on both sides, every attention by name, and the logits (T, V)."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    attentions: dict[str, AttentionRecord]
    logits: Tensor

    def weights(self, name: str) -> Tensor:
        """The weights of one attention, (H, T, S): queries are ``target`` (or ``source`` in the encoder)."""
        return Capture(self.attentions)[name].weights()[0]

    def named(self, kind: str) -> list[str]:
        """The names of one kind: "cross", or "self"."""
        return [name for name in self.attentions if name.endswith(kind)]


Forward = Callable[[], Tensor]


def inspect_forward(model: nn.Module, forward: Forward, source: Sequence[str], target: Sequence[str]) -> Inspection:
    """Run ``forward`` (one sentence through ``model``, returning logits (1, T, V)) and keep what its attentions saw."""
    with torch.inference_mode(), capture(model) as seen:
        logits = forward()
    return Inspection(tuple(source), tuple(target), seen.records, logits[0])
