"""Compares every fast path of one very model with the textbook in float64, on its own queries, keys and values.

Three laws are measured: each path of each attention gives what the equation gives; decoding with a cache gives what
recomputing everything gives; padding changes nothing. Inputs are random tokens of a fixed seed, so no data is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from clearhead.inspection.capture import AttentionRecord, capture
from clearhead.mechanism import textbook
from clearhead.mechanism.paths import Problem, choose, fused, products, streamed
from clearhead.models.encoder_decoder import EncoderDecoder
from clearhead.service.tasks.task import Predictor
from clearhead.text.tokenizer import PAD, START

PATHS: dict[str, Callable[[Problem], Tensor]] = {"products": products, "fused": fused, "streamed": streamed}
SOURCES, LONGEST, TARGETS = 4, 24, 20
FIRST_ORDINARY = 4

# Rounding of the dtype, times the growth that a few layers of sums allow.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.1, torch.float16: 0.02}


@dataclass(frozen=True)
class Check:
    """One comparison: ``difference`` is the largest one, in units of the largest value where that is above 1."""

    what: str
    path: str
    difference: float
    tolerance: float
    in_use: bool = True

    @property
    def holds(self) -> bool:
        """Whether the two agree within rounding; not a number never does."""
        return self.difference <= self.tolerance

    def as_dict(self) -> dict[str, Any]:
        """The check as plain data."""
        return {
            "what": self.what,
            "path": self.path,
            "difference": self.difference,
            "tolerance": self.tolerance,
            "in_use": self.in_use,
            "holds": self.holds,
        }


def verify(predictor: Predictor) -> Iterator[Check]:
    """All checks of a model, as they are done: every attention on every path, then the cache, then padding."""
    model = cast(EncoderDecoder, predictor.model)
    batch = _random_batch(model)
    with torch.inference_mode():
        with capture(model) as seen:
            whole = model.logits(batch.source, batch.target, mask=batch.mask)
        for record in seen.records.values():
            yield from _attention(record)
        tolerance = TOLERANCES[whole.dtype]
        cached = _decode_stepwise(model, batch)
        yield Check("decoding", "cached against recomputed", _difference(cached, whole), tolerance)
        yield Check("padding", "alone against in a batch", _padding(model, batch, whole), tolerance)


@dataclass(frozen=True)
class _Batch:
    """source (B, S), mask (B, S) True = real, target (B, T) beginning with the start symbol."""

    source: Tensor
    mask: Tensor
    target: Tensor


def _random_batch(model: EncoderDecoder) -> _Batch:
    generator = torch.Generator().manual_seed(1)
    device = model.output_weight.device
    lengths = torch.linspace(3, LONGEST, SOURCES).round().long()[:, None]
    mask = torch.arange(LONGEST) < lengths
    source = _tokens(model.config.source_vocabulary, LONGEST, generator).masked_fill(~mask, PAD)
    target = _tokens(model.config.target_vocabulary, TARGETS, generator)
    target[:, 0] = START
    return _Batch(source.to(device), mask.to(device), target.to(device))


def _tokens(vocabulary: int, length: int, generator: torch.Generator) -> Tensor:
    lowest = min(FIRST_ORDINARY, vocabulary - 1)
    return torch.randint(lowest, vocabulary, (SOURCES, length), generator=generator)


def _attention(record: AttentionRecord) -> Iterator[Check]:
    problem = Problem(record.q, record.k, record.v, record.mask)
    truth = textbook.attention(record.q.double(), record.k.double(), record.v.double(), mask=record.mask)
    chosen = choose(problem)
    for name, path in PATHS.items():
        result = record.mixed if path is chosen else path(problem)
        yield Check(record.name, name, _difference(result, truth), TOLERANCES[record.q.dtype], path is chosen)


def _decode_stepwise(model: EncoderDecoder, batch: _Batch) -> Tensor:
    """Logits (B, T, V) by feeding one token after the other through the cache."""
    state = model.begin(batch.source, batch.mask, beam=1, max_length=TARGETS)
    steps = [model.advance(batch.target[:, step : step + 1], state) for step in range(TARGETS)]
    return torch.cat(steps, dim=1)


def _padding(model: EncoderDecoder, batch: _Batch, whole: Tensor) -> float:
    """How far each sentence's logits move when it stands alone, without padding."""
    alone = [
        model.logits(batch.source[row : row + 1, batch.mask[row]], batch.target[row : row + 1])
        for row in range(SOURCES)
    ]
    return _difference(torch.cat(alone), whole)


def _difference(a: Tensor, b: Tensor) -> float:
    scale = max(1.0, float(b.abs().max()))
    return float((a.double() - b.double()).abs().max()) / scale
