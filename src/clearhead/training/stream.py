"""The batches of a run as one sequence that can be entered at any place: epoch after epoch, batch after batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearhead.data.order import BatchOrder
from clearhead.errors import RunError
from clearhead.training.protocol import Batch, Corpus


class Place(NamedTuple):
    """The next batch to be read, both numbers from 0."""

    epoch: int = 0
    batch: int = 0


class BatchStream:
    """Batches of ``corpus`` in ``order`` from ``place`` on; ends after ``max_epochs`` epochs, where that is given."""

    def __init__(self, corpus: Corpus, order: BatchOrder, place: Place, max_epochs: int | None) -> None:
        self.corpus = corpus
        self.order = order
        self.place = place
        self.max_epochs = max_epochs
        self._epoch = self._open(place)

    def take(self, count: int) -> list[Batch]:
        """The next ``count`` batches, over the end of an epoch if need be; fewer, or none, where the run ends.

        Raises:
            RunError: the corpus has no batch at all.
        """
        batches: list[Batch] = []
        while len(batches) < count and not self._over():
            rows = next(self._epoch, None)
            if rows is None:
                self._next_epoch()
                continue
            batches.append(self.corpus.batch(rows, self.place.epoch % self.corpus.samples))
            self.place = self.place._replace(batch=self.place.batch + 1)
        return batches

    def _next_epoch(self) -> None:
        if self.place.batch == 0:
            raise RunError("the training corpus holds no row: nothing can be learned from it")
        self.place = Place(self.place.epoch + 1)
        self._epoch = self._open(self.place)

    def _over(self) -> bool:
        return self.max_epochs is not None and self.place.epoch >= self.max_epochs

    def _open(self, place: Place) -> Iterator[NDArray[np.int64]]:
        return self.order.epoch(place.epoch, place.batch)
