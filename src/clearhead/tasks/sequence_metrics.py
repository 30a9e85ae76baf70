"""How good tags are: accuracy over words, precision, recall and F1 per tag and, for tags that mark spans, per span.

    precision = right / given,   recall = right / wanted,   F1 = 2 right / (given + wanted)

A span is right when its two ends and its type are. Where spans begin and end is read as the script conlleval reads it
(Tjong Kim Sang & Buchholz 2000, CoNLL-2000 shared task), and so as seqeval does by default: from B-, I-, E- and S-
tags of any mixture, so that a wrong sequence such as O I-X counts as a span too. Percentages are of a whole set; a
share of nothing is 0. Knows nothing of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from clearhead.data.tagged_sentence import OUTSIDE, SPAN_TAGS, marks_spans
from clearhead.errors import DataError

NO_TYPE = "_"  # of the bare tags B and I
Tags = Sequence[str]


class Span(NamedTuple):
    """Words ``start`` … ``stop`` − 1 of a sentence."""

    type: str
    start: int
    stop: int


class Counts(NamedTuple):
    """How often something was predicted, was wanted, and was both at once."""

    right: int
    predicted: int
    wanted: int

    @property
    def precision(self) -> float:
        """Percent of what was predicted that was right."""
        return 100.0 * self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """Percent of what was wanted that was found."""
        return 100.0 * self.right / self.wanted if self.wanted else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of both."""
        both = self.predicted + self.wanted
        return 200.0 * self.right / both if both else 0.0

    def as_dict(self) -> dict[str, float | int]:
        """Plain data for JSON."""
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1, "support": self.wanted}


def accuracy(predicted: Sequence[Tags], wanted: Sequence[Tags]) -> float:
    """Percent of words with the right tag, over all sentences.

    Raises:
        DataError: there are no words, or the two sides differ in sentences or words.
    """
    pairs = _pairs(predicted, wanted)
    return 100.0 * sum(one == other for one, other in pairs) / len(pairs)


def accuracy_of_chosen(
    predicted: Sequence[Tags], wanted: Sequence[Tags], chosen: Sequence[Sequence[bool]]
) -> float | None:
    """``accuracy`` over the words that are marked in ``chosen``; None where none is.

    Raises:
        DataError: as ``accuracy``; also for marks that are not one a word.
    """
    pairs = _pairs(predicted, wanted)
    marks = [mark for row in chosen for mark in row]
    if len(marks) != len(pairs):
        raise DataError(f"every word needs its mark: got {len(marks)} marks for {len(pairs)} words")
    kept = [one == other for (one, other), mark in zip(pairs, marks, strict=True) if mark]
    return 100.0 * sum(kept) / len(kept) if kept else None


def tag_counts(predicted: Sequence[Tags], wanted: Sequence[Tags]) -> dict[str, Counts]:
    """Counts of every tag that occurs on either side, in alphabetical order.

    Raises:
        DataError: as ``accuracy``.
    """
    pairs = _pairs(predicted, wanted)
    return _counts(
        Counter(one for one, other in pairs if one == other),
        Counter(one for one, _ in pairs),
        Counter(other for _, other in pairs),
    )


def span_counts(predicted: Sequence[Tags], wanted: Sequence[Tags]) -> dict[str, Counts]:
    """Counts of the spans of every type that occurs on either side, in alphabetical order; of ``spans``, all of them.

    Raises:
        DataError: as ``accuracy``.
    """
    _pairs(predicted, wanted)
    right: Counter[str] = Counter()
    given: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for one, other in zip(predicted, wanted, strict=True):
        found, gold = spans(one), spans(other)
        given.update(span.type for span in found)
        asked.update(span.type for span in gold)
        right.update(span.type for span in set(found) & set(gold))
    return _counts(right, given, asked)


def total(counts: Iterable[Counts]) -> Counts:
    """The counts of all kinds together: what micro-averages are made of."""
    kept = list(counts)
    return Counts(
        sum(each.right for each in kept), sum(each.predicted for each in kept), sum(each.wanted for each in kept)
    )


def spans(tags: Tags) -> list[Span]:
    """The spans of one sentence, in order.

    A span begins at B- and S-, after E-, S- and O, and where the type changes; it goes on until the next one begins or
    an O comes.
    """
    found: list[Span] = []
    before = (OUTSIDE, "")
    for place, tag in enumerate(tags):
        prefix, type_ = _parts(tag)
        if prefix != OUTSIDE:
            if prefix in "BS" or before[0] in "ESO" or before[1] != type_:
                found.append(Span(type_, place, place + 1))
            else:
                found[-1] = found[-1]._replace(stop=place + 1)
        before = prefix, type_
    return found


def _parts(tag: str) -> tuple[str, str]:
    """``B`` and ``PER`` of ``B-PER``."""
    if not marks_spans(tag):
        raise DataError(f"expected a tag that marks spans: {SPAN_TAGS}; got {tag!r}")
    return tag[0], tag[2:] or NO_TYPE


def _counts(right: Counter[str], predicted: Counter[str], wanted: Counter[str]) -> dict[str, Counts]:
    return {name: Counts(right[name], predicted[name], wanted[name]) for name in sorted(predicted | wanted)}


def _pairs(predicted: Sequence[Tags], wanted: Sequence[Tags]) -> list[tuple[str, str]]:
    if len(predicted) != len(wanted):
        raise DataError(f"every sentence needs its tags: got {len(predicted)} predicted and {len(wanted)} wanted")
    for number, (one, other) in enumerate(zip(predicted, wanted, strict=True), start=1):
        if len(one) != len(other):
            raise DataError(
                f"every word needs its tag: sentence {number} has {len(one)} predicted, {len(other)} wanted"
            )
    pairs = [pair for rows in zip(predicted, wanted, strict=True) for pair in zip(*rows, strict=True)]
    if not pairs:
        raise DataError("there are no words to score: expected at least one")
    return pairs
