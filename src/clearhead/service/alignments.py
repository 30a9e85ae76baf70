"""Word alignments of pairs of sentences, read off a translator's cross-attention; and where best to read them off.

A place to read at is an attention, one of its heads or the mean of all, and which row tells of a target piece: the one
in which it is written or the one in which it is read (``inspection.alignment``). The best place is found on data: by
the alignment error rate where there are gold links, else by how well linked words predict each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from clearhead.errors import ConfigurationError, DataError
from clearhead.inspection.alignment import Gold, Link, by_words, error_rate, links_of, predictability
from clearhead.inspection.inspection import Inspection
from clearhead.service.tasks.task import Predictor
from clearhead.service.words import Words, words_of

Row = Literal["written", "read"]
SHIFT: dict[str, int] = {"written": 0, "read": 1}
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Place:
    """Where alignments are read off; ``head`` None is the mean of the attention's heads."""

    attention: str
    head: int | None
    row: Row

    def __str__(self) -> str:
        which = "the mean of its heads" if self.head is None else f"head {self.head}"
        return f"{self.attention}, {which}, in the row where a piece is {self.row}"


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """One pair: its words, the links found (source, target), and the map between words (target, source)."""

    source: tuple[str, ...]
    target: tuple[str, ...]
    links: frozenset[Link]
    weights: Tensor


@dataclass(frozen=True, slots=True)
class Best:
    """The best place, and the score of every place: the alignment error rate (lower is better) or, without gold, the
    mutual information of linked words in nats (higher is better)."""

    place: Place
    score: float
    by_gold: bool
    scores: dict[Place, float]


def align(predictor: Predictor, pairs: Sequence[Pair], place: Place) -> list[Aligned]:
    """The alignment of every pair at one place.

    Raises:
        ConfigurationError: the model has no such attention or head.
        DataError: a side of a pair is blank.
    """
    return [_aligned(seen, place) for seen in _looks(predictor, pairs)]


def best_place(predictor: Predictor, pairs: Sequence[Pair], gold: Sequence[Gold] | None = None) -> Best:
    """The place that aligns ``pairs`` best, by ``gold`` links where they are given.

    Raises:
        ConfigurationError: the model has no cross-attention.
        DataError: there are no pairs, a side of one is blank, or there is not one line of gold for each.
    """
    found: dict[Place, list[set[Link]]] = {}
    words: list[tuple[Words, Words]] = []
    for seen in _looks(predictor, pairs):
        words.append(_words(seen))
        for place in _places(seen):
            found.setdefault(place, []).append(_links(seen, place, *words[-1]))
    if not found:
        raise DataError("there are no pairs of sentences to find the best place on")
    scores = {place: _score(links, words, gold) for place, links in found.items()}
    best = (max if gold is None else min)(scores, key=lambda place: scores[place])
    return Best(best, scores[best], gold is not None, scores)


def alignment_of(seen: Inspection, place: Place) -> Aligned:
    """The alignment of one translation that was looked at."""
    return _aligned(seen, place)


def _score(links: list[set[Link]], words: list[tuple[Words, Words]], gold: Sequence[Gold] | None) -> float:
    if gold is not None:
        return error_rate(links, gold)
    triples = zip(links, words, strict=True)
    return predictability([(each, source.texts, target.texts) for each, (source, target) in triples])


def _looks(predictor: Predictor, pairs: Sequence[Pair]) -> Iterator[Inspection]:
    """Every pair looked at, one after the other, none kept."""
    for number, (source, target) in enumerate(pairs, start=1):
        if not source.strip() or not target.strip():
            raise DataError(f"pair {number} has a blank side, which cannot be aligned")
        seen = predictor.inspect(source, target)
        if not seen.named("cross"):
            raise ConfigurationError("alignments are read off cross-attention, which this model does not have")
        yield seen


def _places(seen: Inspection) -> list[Place]:
    rows: tuple[Row, Row] = ("written", "read")
    return [
        Place(name, head, row)
        for name in seen.named("cross")
        for head in (None, *range(seen[name].heads))
        for row in rows
    ]


def _words(seen: Inspection) -> tuple[Words, Words]:
    return words_of(seen.source), words_of(seen.target)


def _map(seen: Inspection, place: Place) -> Tensor:
    weights = seen[place.attention].weights()[0]
    if place.head is not None and not 0 <= place.head < len(weights):
        raise ConfigurationError(f"head: expected a number from 0 to {len(weights) - 1}, got {place.head}")
    return weights.mean(0) if place.head is None else weights[place.head]


def _links(seen: Inspection, place: Place, source: Words, target: Words) -> set[Link]:
    return links_of(_map(seen, place), source.numbers, target.numbers, shift=SHIFT[place.row])


def _aligned(seen: Inspection, place: Place) -> Aligned:
    source, target = _words(seen)
    weights, shift = _map(seen, place), SHIFT[place.row]
    rows = target.numbers[: len(weights) - shift]
    between = by_words(weights[shift:], source.numbers, rows).clamp(0, 1)
    return Aligned(source.texts, target.texts, frozenset(_links(seen, place, source, target)), between.cpu())
