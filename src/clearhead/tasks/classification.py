"""The tasks of classifying: a text in; its likeliest label out, or every label that is likely enough.

What it does with odd input is declared here: a blank text gets no label without asking the model; a text longer than
the limit loses its end, and its answer says so. Knows a model by the protocol below, and nothing of files or training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.data.order import evaluation_batches
from clearhead.data.surroundings import room_inside
from clearhead.data.text_batch import TextBatch, collate_texts
from clearhead.data.text_reader import TextReader
from clearhead.tasks.thresholds import Tuning

POSITIONS = 8192  # of a batch
Floats = NDArray[np.floating[Any]]


class TextModel(Protocol):
    """What the task asks of a model."""

    training: bool

    @property
    def output_weight(self) -> Tensor:
        """The output matrix; where it lives, the model lives."""

    def logits(self, inputs: Tensor, *, mask: Tensor | None = None, ngrams: Tensor | None = None) -> Tensor:
        """Scores of every label (B, C) for ids (B, P)."""

    def train(self, mode: bool = True) -> object:
        """Switch between training and evaluation."""


@dataclass(frozen=True, slots=True)
class Classified:
    """The labels of one text, likeliest first, and the probability of every label there is, in the labels' order."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    truncated: bool


@dataclass(frozen=True)
class Classification:
    """Labels by number, texts as ``reader`` reads them, at most ``longest`` positions with the symbols around them.

    Without ``thresholds`` a text has exactly one label. With them, one a label, it has every label whose probability is
    at least that; ``at_least_one``: the likeliest where none is. ``tuning`` says how they are to be found.
    """

    names: tuple[str, ...]
    reader: TextReader
    longest: int
    thresholds: tuple[float, ...] | None = None
    at_least_one: bool = False
    tuning: Tuning = "fixed"

    @property
    def room(self) -> int:
        """The most positions that are read of a text itself."""
        return room_inside(self.longest, self.reader.around)

    def classify(
        self, model: TextModel, texts: Sequence[str], check: Callable[[], None] = lambda: None
    ) -> list[Classified]:
        """The labels of each text, in the same order. ``check`` is called before every batch."""
        asked = [place for place, text in enumerate(texts) if text.strip()]
        logits = self.logits(model, [texts[place] for place in asked], check)
        likely = self.probabilities(logits)
        answers = [Classified((), (), truncated=False)] * len(texts)
        lengths = [len(row) for row in self.reader.begin().rows([texts[place] for place in asked])]
        for place, row, length in zip(asked, likely, lengths, strict=True):
            answers[place] = Classified(self.chosen(row), tuple(row.tolist()), truncated=length > self.room)
        return answers

    def logits(
        self, model: TextModel, texts: Sequence[str], check: Callable[[], None] = lambda: None
    ) -> NDArray[np.float64]:
        """(N, C) the model's scores of every label."""
        found = np.zeros((len(texts), len(self.names)))
        before = model.training
        model.train(False)
        try:
            for places, batch in self.batches(texts):
                check()
                moved = batch.to(model.output_weight.device)
                with torch.inference_mode():
                    logits = model.logits(moved.ids, mask=moved.mask, ngrams=moved.ngrams)
                found[places] = logits.double().cpu().numpy()
        finally:
            model.train(before)
        return found

    def batches(self, texts: Sequence[str]) -> Iterator[tuple[NDArray[np.int64], TextBatch]]:
        """What texts become for the model: batches of similar lengths, with the places of their rows."""
        numbering = self.reader.begin()
        rows = [row[: self.room] for row in numbering.rows(texts)]
        if not rows:
            return
        lengths = np.array([[len(row)] for row in rows], dtype=np.int32)
        nothing = torch.zeros(len(rows), dtype=torch.int64)
        for places in evaluation_batches(lengths, max(POSITIONS, int(lengths.max()) + 1)):
            chosen = [rows[place] for place in places]
            yield places, collate_texts(numbering.table(), chosen, nothing[: len(chosen)])

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, C) softmax where a text has one label, else a sigmoid a label."""
        if self.thresholds is not None:
            return np.asarray(1 / (1 + np.exp(-np.clip(logits, -500, 500))))
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        return np.asarray(powers / powers.sum(-1, keepdims=True))

    def chosen(self, likely: NDArray[np.float64]) -> tuple[str, ...]:
        """The labels that probabilities (C,) amount to, likeliest first."""
        order = np.argsort(-likely, kind="stable")
        if self.thresholds is None:
            return (self.names[order[0]],)
        kept = [number for number in order if likely[number] >= self.thresholds[number]]
        if not kept and self.at_least_one:
            kept = [order[0]]
        return tuple(self.names[number] for number in kept)


def log_likelihood(
    logits: Floats, wanted: Sequence[Sequence[str]], names: Sequence[str], *, sets: bool
) -> float | None:
    """Mean negative log-likelihood in nats a text of the wanted labels that training has seen; None without any text.

    Texts with exactly one label that training never saw are left out, labels of a set that it never saw likewise.
    """
    numbers = {name: number for number, name in enumerate(names)}
    if sets:
        marks = marked(wanted, names)
        each = np.logaddexp(0, logits) - marks * logits
        return float(each.sum(-1).mean()) if len(logits) else None
    rows = [(place, numbers[row[0]]) for place, row in enumerate(wanted) if row and row[0] in numbers]
    if not rows:
        return None
    top = logits.max(-1, keepdims=True)
    logs = logits - top - np.log(np.exp(logits - top).sum(-1, keepdims=True))
    return float(-np.mean([logs[place, number] for place, number in rows]))


def marked(wanted: Sequence[Sequence[str]], names: Sequence[str]) -> NDArray[np.bool_]:
    """(N, C) True where a text has a label; labels that training never saw have no column."""
    numbers = {name: number for number, name in enumerate(names)}
    marks = np.zeros((len(wanted), len(names)), dtype=np.bool_)
    for place, row in enumerate(wanted):
        for label in row:
            if label in numbers:
                marks[place, numbers[label]] = True
    return marks
