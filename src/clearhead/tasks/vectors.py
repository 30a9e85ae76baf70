"""The tasks on vectors: a label for every vector of a sequence (N → N), or one for the whole (N → 1), and how good.

A sequence longer than the limit is read in nearly equal parts where every vector has a label, and loses its end where
the whole has one. Knows a model only by the protocol below, and nothing of files or training.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.data.long_sentences import even_parts
from clearhead.data.order import evaluation_batches
from clearhead.data.tag_batch import UNSCORED
from clearhead.data.vector_batch import VectorBatch, Vectors, collate_vectors
from clearhead.errors import DataError
from clearhead.tasks.sequence_metrics import accuracy, tag_counts

POSITIONS = 4096  # of a batch
Scale = Callable[[Vectors], Vectors]


class VectorModel(Protocol):
    """What the task asks of a model."""

    training: bool

    @property
    def output_weight(self) -> Tensor:
        """The output matrix; where it lives, the model lives."""

    def logits(self, inputs: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """(B, T, C) or (B, C) scores of every label for vectors (B, T, F)."""

    def train(self, mode: bool = True) -> object:
        """Switch between training and evaluation."""


@dataclass(frozen=True, slots=True)
class Labelled:
    """The labels of one sequence, one a vector or a single one, the probability of each, and what was not read."""

    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    truncated: bool


class Part(NamedTuple):
    """Some vectors of the sequence at ``place``."""

    place: int
    span: slice


@dataclass(frozen=True)
class VectorLabels:
    """Vectors of ``width`` numbers as ``scale`` makes them, labels by the numbers of ``names``."""

    names: tuple[str, ...]
    scale: Scale
    width: int
    longest: int
    per_vector: bool

    def label(
        self, model: VectorModel, rows: Sequence[Vectors], check: Callable[[], None] = lambda: None
    ) -> list[Labelled]:
        """The likeliest labels of each sequence (T, F), in the same order. ``check`` is called before every batch."""
        return self._run(model, rows, [np.full(self._count(row), UNSCORED) for row in rows], check)[0]

    def label_and_measure(
        self,
        model: VectorModel,
        rows: Sequence[Vectors],
        wanted: Sequence[Sequence[str]],
        check: Callable[[], None] = lambda: None,
    ) -> tuple[list[Labelled], float]:
        """The labels, and the mean negative log-likelihood in nats of the ``wanted`` ones that training has seen.

        Raises:
            DataError: training has seen none of them.
        """
        numbers = {name: number for number, name in enumerate(self.names)}
        labels = [np.array([numbers.get(label, UNSCORED) for label in row]) for row in wanted]
        known = sum(int((row != UNSCORED).sum()) for row in labels)
        if not known:
            example = next((label for row in wanted for label in row), "")
            raise DataError(
                f"training has seen none of the labels of this data, such as {example!r}; expected labels such as "
                f"{', '.join(map(repr, self.names[:5]))}: is it another set of labels?"
            )
        found, nll = self._run(model, rows, labels, check)
        return found, nll / known

    def measure(
        self, found: Sequence[Labelled], wanted: Sequence[Sequence[str]]
    ) -> tuple[dict[str, float], dict[str, Any]]:
        """Scores from 0 to 100, and tables behind them: by label, and labels that training never saw.

        A wanted label that training never saw counts as a mistake.
        """
        predicted = [each.labels for each in found]
        by_label = tag_counts(predicted, wanted)
        unseen = Counter(label for row in wanted for label in row if label not in self.names)
        scores = {
            "accuracy": accuracy(predicted, wanted),
            "macro_f1": sum(counts.f1 for counts in by_label.values()) / len(by_label),
        }
        labels = {label: counts.as_dict() for label, counts in by_label.items()}
        return scores, {"labels": labels, "unseen_labels": dict(sorted(unseen.items()))}

    def _count(self, row: Vectors) -> int:
        return len(row) if self.per_vector else 1

    def _parts(self, place: int, row: Vectors) -> list[Part]:
        if not self.per_vector:
            return [Part(place, slice(0, self.longest))]
        return [Part(place, span) for span in even_parts([1] * len(row), self.longest)]

    def batches(
        self, rows: Sequence[Vectors], labels: Sequence[NDArray[np.integer]]
    ) -> Iterator[tuple[list[Part], VectorBatch]]:
        """What sequences become for the model: batches of similar lengths."""
        parts = [part for place, row in enumerate(rows) for part in self._parts(place, row)]
        if not parts:
            return
        lengths = np.array([[len(rows[place][span]) - 1] for place, span in parts], dtype=np.int32)
        for chosen in evaluation_batches(lengths, max(POSITIONS, int(lengths.max()) + 1)):
            where = [parts[index] for index in chosen]
            vectors = [self.scale(rows[place][span]) for place, span in where]
            if self.per_vector:
                yield where, collate_vectors(vectors, [labels[place][span] for place, span in where])
            else:
                yield where, collate_vectors(vectors, np.array([labels[place][0] for place, _ in where]))

    def _run(
        self,
        model: VectorModel,
        rows: Sequence[Vectors],
        labels: Sequence[NDArray[np.integer]],
        check: Callable[[], None],
    ) -> tuple[list[Labelled], float]:
        best = [np.zeros(self._count(row), dtype=np.int64) for row in rows]
        sure = [np.zeros(self._count(row)) for row in rows]
        nll, before = 0.0, model.training
        model.train(False)
        try:
            for where, batch in self.batches(rows, labels):
                check()
                likely, chosen, loss = _likeliest(model, batch)
                nll += loss
                for number, (place, span) in enumerate(where):
                    own = span if self.per_vector else slice(0, 1)
                    count = len(best[place][own])
                    best[place][own], sure[place][own] = chosen[number, :count], likely[number, :count]
        finally:
            model.train(before)
        return [self._labelled(*each) for each in zip(best, sure, rows, strict=True)], nll

    def _labelled(self, best: NDArray[np.int64], sure: NDArray[np.float64], row: Vectors) -> Labelled:
        truncated = not self.per_vector and len(row) > self.longest
        return Labelled(tuple(self.names[number] for number in best), tuple(sure.tolist()), truncated)


def _likeliest(model: VectorModel, batch: VectorBatch) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """(B, T) or (B, 1) probability and number of the likeliest label, and the summed loss of the wanted ones."""
    moved = batch.to(model.output_weight.device)
    with torch.inference_mode():
        logits = model.logits(moved.vectors.to(model.output_weight.dtype), mask=moved.mask)
        logs = logits.double().log_softmax(-1)
        logs = logs if logs.dim() == 3 else logs[:, None]
        wanted = moved.labels.reshape(logs.shape[:2])
        likely, chosen = logs.max(-1)
        picked = logs.gather(-1, wanted.clamp(min=0)[..., None])[..., 0]
        nll = -picked.masked_fill(wanted == UNSCORED, 0.0).sum()
    return likely.exp().cpu().numpy(), chosen.cpu().numpy(), float(nll)
