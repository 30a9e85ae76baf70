"""The loss of a language model: at every position of every row, which token comes next.

Padding stands at the end of rows only, where no real position sees it; it is left out of the loss and needs no mask.
"""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from clearhead.data.packing import TextBatch
from clearhead.training.loss import Loss, chunked_cross_entropy
from clearhead.training.protocol import Objective


class ReadsOn(Protocol):
    """What training asks of a language model."""

    @property
    def output_weight(self) -> Tensor:
        """The output matrix (V, W)."""

    @property
    def output_bias(self) -> Tensor | None:
        """The output bias (V,), where there is one."""

    def hidden(self, ids: Tensor, *, documents: Tensor | None = None) -> Tensor:
        """States (B, T, W) for ids (B, T), each looking back only, and never into another document."""


def row_loss(model: ReadsOn, batch: TextBatch, label_smoothing: float = 0.0) -> Loss:
    """The summed loss over the real targets of ``batch``."""
    states = model.hidden(batch.ids, documents=batch.documents).flatten(0, 1)
    targets = batch.targets.flatten()
    if batch.tokens < len(targets):
        real = batch.mask.flatten().nonzero()[:, 0]
        states, targets = states.index_select(0, real), targets.index_select(0, real)
    return chunked_cross_entropy(
        states, model.output_weight, targets, bias=model.output_bias, label_smoothing=label_smoothing
    )


def next_token(label_smoothing: float) -> Objective:
    """The objective of a language model."""

    def objective(model: nn.Module, batch: TextBatch, _: int) -> Loss:
        return row_loss(cast(ReadsOn, model), batch, label_smoothing)

    return objective


def held_out_rows(model: nn.Module, batch: TextBatch) -> Loss:
    """What ``validation_loss`` measures of rows of text."""
    return row_loss(cast(ReadsOn, model), batch)
