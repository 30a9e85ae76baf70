"""Labelled texts tried on a classifier: accuracy where a text has one label, micro-averaged F1 where it has any number.

A blank text is never asked about: it gets no label and counts in no loss.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from clearhead.data.tag_batch import UNSCORED
from clearhead.service.tasks.classification import HeldOutTexts, known_by
from clearhead.service.tasks.classifier import Classifier
from clearhead.service.trials.trial import (
    Labelled,
    Losses,
    Metric,
    Rows,
    Sums,
    Trial,
    label_metrics,
    loss_metric,
    micro_f1,
)
from clearhead.tasks.classification import marked

Wanted = Sequence[Sequence[str]]


def classification_trial(classifier: Classifier, held_out: HeldOutTexts) -> Trial:
    """Every text is an example."""
    wanted = known_by(held_out, classifier.task.names)
    several = classifier.task.thresholds is not None
    return (_with_sets if several else _with_one)(classifier, held_out, wanted)


def _with_one(classifier: Classifier, held_out: HeldOutTexts, wanted: Wanted) -> Trial:
    numbers = {name: number for number, name in enumerate(classifier.task.names)}
    pairs = zip(held_out.texts, wanted, strict=True)
    labels = [numbers.get(row[0], UNSCORED) if row and text.strip() else UNSCORED for text, row in pairs]
    tensor = torch.tensor(labels, device=classifier.device)

    def forward(rows: Rows) -> Iterator[Labelled]:
        for places, logits in _logits(classifier, held_out, rows):
            yield Labelled(places, logits[:, None], tensor[rows[places]][:, None])

    return Trial(
        name=held_out.name,
        unit="texts",
        count=len(labels),
        metrics=label_metrics(forward, np.ones(len(labels), dtype=np.int64)),
        losses=lambda rows: (part.losses() for part in forward(rows)),
        look=lambda row: classifier.inspect(held_out.texts[row]),
    )


def _with_sets(classifier: Classifier, held_out: HeldOutTexts, wanted: Wanted) -> Trial:
    task = classifier.task
    marks = torch.from_numpy(marked(wanted, task.names)).to(classifier.device)

    def losses(rows: Rows) -> Iterator[Losses]:
        for places, logits in _logits(classifier, held_out, rows):
            chosen = rows[places]
            each = F.binary_cross_entropy_with_logits(logits.double(), marks[chosen].double(), reduction="none").sum(1)
            yield Losses(places, each, np.ones(len(places), dtype=np.int64))

    def counts(rows: Rows) -> Sums:
        sums = np.zeros((len(rows), 3))
        sums[:, 2] = [len(set(wanted[row])) for row in rows]
        with torch.inference_mode():
            for places, logits in _logits(classifier, held_out, rows):
                likely = task.probabilities(logits.double().cpu().numpy())
                for place, row in zip(places, likely, strict=True):
                    asked, given = set(wanted[rows[place]]), set(task.chosen(row))
                    sums[place, :2] = len(asked & given), len(given)
        return sums

    return Trial(
        name=held_out.name,
        unit="texts",
        count=len(held_out.texts),
        metrics={"micro_f1": Metric(True, counts, micro_f1), "loss": loss_metric(losses)},
        losses=losses,
        look=lambda row: classifier.inspect(held_out.texts[row]),
    )


def _logits(classifier: Classifier, held_out: HeldOutTexts, rows: Rows) -> Iterator[tuple[Rows, Tensor]]:
    """(B, C) batch after batch, with the places of its rows; of blank texts there are none."""
    asked = np.array([place for place, row in enumerate(rows) if held_out.texts[row].strip()], dtype=np.int64)
    for places, batch in classifier.task.batches([held_out.texts[row] for row in rows[asked]]):
        moved = batch.to(classifier.device)
        yield asked[places], classifier.model.logits(moved.ids, mask=moved.mask, ngrams=moved.ngrams)
