"""Labelled sequences of vectors tried on a labeller: accuracy over labels, and their loss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from clearhead.data.tag_batch import UNSCORED
from clearhead.service.tasks.labeller import VectorLabeller
from clearhead.service.tasks.vectors import HeldOutVectors
from clearhead.service.trials.trial import Labelled, Rows, Trial, label_metrics


def vector_trial(labeller: VectorLabeller, held_out: HeldOutVectors) -> Trial:
    """Every sequence is an example."""
    model, numbers = labeller.model, {name: number for number, name in enumerate(labeller.task.names)}
    labels = [np.array([numbers.get(label, UNSCORED) for label in row]) for row in held_out.labels]

    def forward(rows: Rows) -> Iterator[Labelled]:
        for where, batch in labeller.task.batches([held_out.rows[row] for row in rows], [labels[row] for row in rows]):
            moved = batch.to(labeller.device)
            logits = model.logits(moved.vectors.to(model.output_weight.dtype), mask=moved.mask)
            logits = logits if logits.dim() == 3 else logits[:, None]
            yield Labelled(np.array([part.place for part in where]), logits, moved.labels.reshape(logits.shape[:2]))

    return Trial(
        name=held_out.name,
        unit="sequences",
        count=len(held_out.rows),
        metrics=label_metrics(forward, np.array([len(row) for row in labels])),
        losses=lambda rows: (part.losses() for part in forward(rows)),
        look=lambda row: labeller.inspect(held_out.rows[row]),
    )
