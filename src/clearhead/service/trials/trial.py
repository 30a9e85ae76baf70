"""Held-out data as examples that are scored one by one, so that a score can be taken of any choice of them.

A metric measures each example as a few numbers whose sums decide the score: right and all, loss and tokens, the n-gram
counts of BLEU. Whoever resamples examples adds up other rows and asks for the score again; no model runs twice for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from clearhead.data.tag_batch import UNSCORED
from clearhead.errors import ConfigurationError, nearest
from clearhead.inspection.inspection import Inspection

LOGITS = 1 << 21  # held at a time
Rows = NDArray[np.int64]
Sums = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Losses:
    """The summed loss (B,) of some examples in nats, with a graph where one is wanted, over how many ``items`` (B,).

    ``places`` (B,) says which of the asked rows each is; a long example may come in several parts.
    """

    places: Rows
    nll: Tensor
    items: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Metric:
    """``measure``: rows (R,) → numbers (R, K) of each, the model as it then is. ``score``: sums (…, K) → scores (…)."""

    higher_is_better: bool
    measure: Callable[[Rows], Sums]
    score: Callable[[Sums], Sums]


@dataclass(frozen=True, eq=False)
class Trial:
    """``count`` examples of held-out data and a model to be tried on them.

    Attributes:
        name: of the data: "valid", "test", a file's.
        unit: what an example is, in the plural.
        metrics: by name, the default first; "loss" is always there.
        losses: rows (R,) → the loss of each, batch after batch.
        look: every attention over one example, by its number.
    """

    name: str
    unit: str
    count: int
    metrics: Mapping[str, Metric]
    losses: Callable[[Rows], Iterator[Losses]]
    look: Callable[[int], Inspection]

    def metric(self, name: str | None) -> tuple[str, Metric]:
        """The metric of this name, with its name; the default without one.

        Raises:
            ConfigurationError: there is none of that name; the nearest is told.
        """
        name = name or next(iter(self.metrics))
        if name not in self.metrics:
            raise ConfigurationError(
                f"metric: expected one of {', '.join(self.metrics)}, got {name!r}{nearest(name, self.metrics)}"
            )
        return name, self.metrics[name]

    def rows(self, limit: int | None = None, seed: int = 1) -> Rows:
        """All examples, or ``limit`` of them by chance, in order.

        Raises:
            ConfigurationError: a limit below 1.
        """
        if limit is not None and limit < 1:
            raise ConfigurationError(f"examples: expected a number from 1 on, got {limit}")
        if limit is None or limit >= self.count:
            return np.arange(self.count)
        return np.sort(np.random.default_rng(seed).choice(self.count, limit, replace=False))


class HasOutput(Protocol):
    """What turning states into losses asks of a model."""

    @property
    def output_weight(self) -> Tensor:
        """The output matrix (V, W)."""

    @property
    def output_bias(self) -> Tensor | None:
        """The output bias (V,), where there is one."""


def ratio(sums: Sums) -> Sums:
    """The first over the second."""
    return np.asarray(sums[..., 0] / np.maximum(sums[..., 1], 1.0))


def percent(sums: Sums) -> Sums:
    """``ratio`` in percent."""
    return 100.0 * ratio(sums)


def micro_f1(sums: Sums) -> Sums:
    """Of right, given and wanted: 2 right / (given + wanted), in percent; 0 where there is nothing."""
    return np.asarray(200.0 * sums[..., 0] / np.maximum(sums[..., 1] + sums[..., 2], 1.0))


def loss_metric(losses: Callable[[Rows], Iterator[Losses]]) -> Metric:
    """Mean loss in nats an item."""

    def measure(rows: Rows) -> Sums:
        sums = np.zeros((len(rows), 2))
        with torch.inference_mode():
            for part in losses(rows):
                np.add.at(sums[:, 0], part.places, part.nll.cpu().numpy())
                np.add.at(sums[:, 1], part.places, part.items)
        return sums

    return Metric(higher_is_better=False, measure=measure, score=ratio)


def row_losses(model: HasOutput, hidden: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """States (B, T, W) against targets (B, T) where ``mask`` (B, T): the summed loss of every row, (B,) float64."""
    weight, bias = model.output_weight, model.output_bias
    states, wanted = hidden[mask], targets[mask]
    size = max(16, LOGITS // len(weight))
    exact = torch.promote_types(weight.dtype, torch.float32)
    parts = [
        F.cross_entropy(F.linear(some, weight, bias).to(exact), words, reduction="none").double()
        for some, words in zip(torch.split(states, size), torch.split(wanted, size), strict=True)
    ]
    sums = torch.zeros(len(hidden), dtype=torch.float64, device=hidden.device)
    return sums.index_add(0, mask.nonzero()[:, 0], torch.cat(parts))


@dataclass(frozen=True, eq=False)
class Labelled:
    """Scores (B, N, C) of the labels of B examples, and which were wanted (B, N); ``UNSCORED`` for none of them."""

    places: Rows
    logits: Tensor
    wanted: Tensor

    def losses(self) -> Losses:
        """Cross-entropy over what has a label."""
        logs = self.logits.double().log_softmax(-1)
        picked = logs.gather(-1, self.wanted.clamp(min=0)[..., None])[..., 0]
        scored = self.wanted != UNSCORED
        return Losses(self.places, -picked.where(scored, 0.0).sum(1), scored.sum(1).cpu().numpy())

    def right(self) -> NDArray[np.int64]:
        """(B,) how many labels are the likeliest ones; one that training never saw is never right."""
        found: NDArray[np.int64] = ((self.logits.argmax(-1) == self.wanted).sum(1)).cpu().numpy()
        return found


def label_metrics(forward: Callable[[Rows], Iterator[Labelled]], sizes: NDArray[np.int64]) -> dict[str, Metric]:
    """Accuracy over all labels, ``sizes`` (N,) of each example, and the loss."""

    def measure(rows: Rows) -> Sums:
        sums = np.stack([np.zeros(len(rows)), sizes[rows].astype(np.float64)], axis=1)
        with torch.inference_mode():
            for part in forward(rows):
                np.add.at(sums[:, 0], part.places, part.right())
        return sums

    return {
        "accuracy": Metric(higher_is_better=True, measure=measure, score=percent),
        "loss": loss_metric(lambda rows: (part.losses() for part in forward(rows))),
    }


@contextmanager
def as_in_use(model: nn.Module) -> Iterator[None]:
    """``model`` in evaluation mode for a while."""
    before = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(before)
