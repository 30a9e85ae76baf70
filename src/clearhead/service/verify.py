"""Compares every fast path of one very model with the textbook in float64, on its own queries, keys and values.

Laws are measured: each path of each attention gives what the equation gives, with the score, bias and normaliser this
model has; decoding with a cache gives what recomputing everything gives; padding changes nothing, and neither do other
documents in a row. Inputs are random numbers of a fixed seed, so no data is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from clearhead.inspection.capture import capture
from clearhead.inspection.record import AttentionRecord
from clearhead.mechanism import textbook
from clearhead.mechanism.paths import Problem, choose, fused, products, streamed
from clearhead.service.tasks.task import Predictor
from clearhead.text.tokenizer import PAD, START


def in_blocks(problem: Problem) -> Tensor:
    """``streamed`` in several blocks, which so small a map would not need."""
    return streamed(problem, tile=max(1, problem.map_size // 3))


PATHS: dict[str, Callable[[Problem], Tensor]] = {"products": products, "fused": fused, "streamed": in_blocks}
SENTENCES, LONGEST, TARGETS, NGRAMS = 4, 24, 20, 5
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
    """All checks of a model, as they are done: every attention on every path, then what its architecture promises."""
    run = ARCHITECTURES[predictor.config.architecture](predictor)
    with torch.inference_mode():
        with capture(predictor.model) as seen:
            whole = run.whole()
        for record in seen.records.values():
            yield from _attention(record)
        tolerance = TOLERANCES[whole.dtype]
        for what, path, difference in run.laws(whole):
            yield Check(what, path, difference, tolerance)


Law = tuple[str, str, float]  # what, on which path, how large the difference


@dataclass(frozen=True)
class Run:
    """What a model is put through: one pass over everything, and the laws that pass is held to."""

    whole: Callable[[], Tensor]
    laws: Callable[[Tensor], Iterator[Law]]


def _encoder_decoder(predictor: Predictor) -> Run:
    model: Any = predictor.model
    source, mask = _padded(predictor)
    target = _targets(predictor)
    target[:, 0] = START

    def laws(whole: Tensor) -> Iterator[Law]:
        state = model.begin(source, mask, beam=1, max_length=target.shape[1])
        yield _cached(model, state, target, whole)
        alone = [model.logits(x[real][None], y[None]) for x, real, y in zip(source, mask, target, strict=True)]
        yield "padding", "alone against in a batch", _difference(torch.cat(alone), whole)

    return Run(lambda: model.logits(source, target, mask=mask), laws)


def _encoder(predictor: Predictor) -> Run:
    model: Any = predictor.model
    config = predictor.config
    inputs, mask = _padded(predictor)
    if config.input_width is not None:
        inputs = torch.randn(*mask.shape, config.input_width, generator=_generator()).to(model.output_weight)
    tells = model.hidden if config.head.kind == "none" else model.logits
    ngrams = _ngrams(config.ngram_buckets, mask) if config.ngram_buckets else None

    def alone_at(row: int, real: Tensor) -> Tensor:
        spelled = None if ngrams is None else ngrams[row, real][None]
        told: Tensor = tells(inputs[row, real][None], ngrams=spelled)
        return told

    def laws(whole: Tensor) -> Iterator[Law]:
        alone = [alone_at(row, real) for row, real in enumerate(mask)]
        found = whole if config.pooling != "none" else whole[mask]
        yield "padding", "alone against in a batch", _difference(torch.cat([x.flatten(0, -2) for x in alone]), found)

    return Run(lambda: tells(inputs, mask=mask, ngrams=ngrams), laws)


def _decoder(predictor: Predictor) -> Run:
    model: Any = predictor.model
    ids = _targets(predictor)
    length, half = ids.shape[1], ids.shape[1] // 2

    def laws(whole: Tensor) -> Iterator[Law]:
        nothing, everything = ids[:, :0], torch.ones_like(ids, dtype=torch.bool)
        state = model.begin(nothing, everything[:, :0], beam=1, max_length=length)
        yield _cached(model, state, ids, whole)
        state = model.begin(ids[:, :half], everything[:, :half], beam=1, max_length=length)
        what, _, difference = _cached(model, state, ids[:, half:], whole[:, half:])
        yield what, "after a prompt against recomputed", difference
        documents = (torch.arange(length, device=ids.device) >= half).long().expand_as(ids)
        alone = torch.cat([model.logits(ids[:, :half]), model.logits(ids[:, half:])], dim=1)
        packed = model.logits(ids, documents=documents)
        yield "documents", "alone against in one row", _difference(alone, packed)

    return Run(lambda: model.logits(ids), laws)


ARCHITECTURES: dict[str, Callable[[Predictor], Run]] = {
    "encoder-decoder": _encoder_decoder,
    "encoder": _encoder,
    "decoder": _decoder,
}


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def _padded(predictor: Predictor) -> tuple[Tensor, Tensor]:
    """Tokens (B, S) of unequal lengths, and which of them are real."""
    longest = min(LONGEST, predictor.config.max_positions)
    lengths = torch.linspace(min(3, longest), longest, SENTENCES).round().long()[:, None]
    mask = torch.arange(longest) < lengths
    ids = _tokens(predictor.config.source_vocabulary, longest).masked_fill(~mask, PAD)
    return ids.to(predictor.device), mask.to(predictor.device)


def _ngrams(buckets: int, mask: Tensor) -> Tensor:
    """Words of up to 5 n-grams (B, T, 5); 0, which is none, stands behind the shorter ones and in padding."""
    numbers = torch.randint(1, buckets, (*mask.shape, NGRAMS), generator=_generator())
    counts = torch.randint(1, NGRAMS + 1, (*mask.shape, 1), generator=_generator())
    spelled = torch.arange(NGRAMS) < counts
    return numbers.masked_fill(~spelled, 0).to(mask.device).masked_fill(~mask[..., None], 0)


def _targets(predictor: Predictor) -> Tensor:
    """Target tokens (B, T)."""
    length = min(TARGETS, predictor.config.max_positions)
    return _tokens(predictor.config.target_vocabulary, length).to(predictor.device)


def _tokens(vocabulary: int, length: int) -> Tensor:
    lowest = max(0, min(FIRST_ORDINARY, vocabulary - 1))
    return torch.randint(lowest, max(vocabulary, 1), (SENTENCES, length), generator=_generator())


def _attention(record: AttentionRecord) -> Iterator[Check]:
    problem = record.problem()
    truth = textbook.attention(
        record.q.double(),
        record.k.double(),
        record.v.double(),
        mask=record.mask,
        bias=record.bias,
        score=record.score,
        normalize=record.normalize,
    )
    chosen = choose(problem)
    for name, path in PATHS.items():
        if path is not fused or problem.fits_fused_kernel():
            result = record.mixed if path is chosen else path(problem)
            yield Check(record.name, name, _difference(result, truth), TOLERANCES[record.q.dtype], path is chosen)


def _cached(model: Any, state: Any, tokens: Tensor, whole: Tensor) -> Law:
    """Feed tokens (B, T) one after the other through the cache, against the logits (B, T, V) of one pass."""
    steps = [model.advance(tokens[:, step : step + 1], state) for step in range(tokens.shape[1])]
    return "decoding", "cached against recomputed", _difference(torch.cat(steps, dim=1), whole)


def _difference(a: Tensor, b: Tensor) -> float:
    scale = max(1.0, float(b.abs().max()))
    return float((a.double() - b.double()).abs().max()) / scale
