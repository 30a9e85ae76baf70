"""What training asks of data and of a task, and nothing more: batches it can count and cut, a corpus that makes them, a
loss. The loop, the accumulation, resuming and the checkpoints know no task beyond this page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from clearhead.data.order import HasLengths
from clearhead.training.loss import Loss


class Batch(Protocol):
    """Some rows of a corpus as tensors."""

    @property
    def tokens(self) -> int:
        """How many items the loss is summed over; an update's gradient is the mean over them."""

    @property
    def real(self) -> int:
        """The tokens of all its sides, padding left out."""

    @property
    def cells(self) -> int:
        """The room for tokens of all its sides, padding included."""

    def __len__(self) -> int:
        """B, the number of rows."""

    def to(self, device: torch.device | str) -> Self:
        """The same batch on another device."""

    def split(self, parts: int) -> Sequence[Self]:
        """At most ``parts`` batches of nearly equal numbers of rows, in order, which together count the same items."""


class Corpus(HasLengths, Protocol):
    """The training data, in rows."""

    @property
    def fingerprint(self) -> str:
        """The same only for the same rows."""

    def batch(self, rows: NDArray[np.int64], sample: int = 0) -> Batch:
        """These rows, in segmentation ``sample``, as one batch."""


class PreparedCorpus(Corpus, Protocol):
    """A corpus that can account for what it was made of."""

    @property
    def ledger(self) -> Mapping[str, Any]:
        """What happened to every record that was read, as ``data.ledger`` counts it."""

    def __len__(self) -> int:
        """How many rows there are."""


Objective = Callable[[nn.Module, Any, int], Loss]
"""(model, batch, update) → the loss to learn from, the model in training mode; the first update is number 1. The batch
is one of the run's own corpus. Chance is drawn as ``mechanism.dropout`` draws it, so that a step can be repeated."""

Measure = Callable[[nn.Module, Any], Loss]
"""(model, batch) → the loss of held-out data, the model in evaluation mode; its ``nll`` is what counts."""
