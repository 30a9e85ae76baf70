"""The batches of a run as one sequence that can be entered at any place: epoch after epoch, batch after batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from clearhead.data.batch import PairBatch, collate_pairs
from clearhead.data.order import BatchOrder, HasLengths
from clearhead.errors import RunError


class Place(NamedTuple):
    """The next batch to be read, both numbers from 0."""

    epoch: int = 0
    batch: int = 0


class Corpus(HasLengths, Protocol):
    """What training needs of a corpus beside its lengths."""

    @property
    def fingerprint(self) -> str:
        """The same only for the same rows."""

    def rows(
        self, indices: NDArray[np.int64], sample: int = 0
    ) -> tuple[list[NDArray[np.int32]], list[NDArray[np.int32]]]:
        """Source and target ids of some rows, without special tokens."""


class BatchStream:
    """Batches of ``corpus`` in ``order`` from ``place`` on; ends after ``max_epochs`` epochs, where that is given."""

    def __init__(self, corpus: Corpus, order: BatchOrder, place: Place, max_epochs: int | None) -> None:
        self.corpus = corpus
        self.order = order
        self.place = place
        self.max_epochs = max_epochs
        self._epoch = self._open(place)

    def take(self, count: int) -> list[PairBatch]:
        """The next ``count`` batches, over the end of an epoch if need be; fewer, or none, where the run ends.

        Raises:
            RunError: the corpus has no batch at all.
        """
        batches: list[PairBatch] = []
        while len(batches) < count and not self._over():
            rows = next(self._epoch, None)
            if rows is None:
                self._next_epoch()
                continue
            batches.append(self._collate(rows))
            self.place = self.place._replace(batch=self.place.batch + 1)
        return batches

    def _next_epoch(self) -> None:
        if self.place.batch == 0:
            raise RunError("the training corpus holds no sentence pair: nothing can be learned from it")
        self.place = Place(self.place.epoch + 1)
        self._epoch = self._open(self.place)

    def _over(self) -> bool:
        return self.max_epochs is not None and self.place.epoch >= self.max_epochs

    def _open(self, place: Place) -> Iterator[NDArray[np.int64]]:
        return self.order.epoch(place.epoch, place.batch)

    def _collate(self, rows: NDArray[np.int64]) -> PairBatch:
        sources, targets = self.corpus.rows(rows, self.place.epoch % self.corpus.samples)
        return collate_pairs(sources, targets)
