"""One batch through an encoder-decoder with the right answer as the decoder's input, up to the loss.

Only states at real target positions meet the output matrix. The model is known by three members; what it is made of is
its own affair.
"""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from clearhead.data.batch import PairBatch
from clearhead.training.loss import Loss, chunked_cross_entropy
from clearhead.training.protocol import Objective


class TeacherForced(Protocol):
    """What training asks of a model."""

    @property
    def output_weight(self) -> Tensor:
        """The output matrix (V, W)."""

    @property
    def output_bias(self) -> Tensor | None:
        """The output bias (V,), where there is one."""

    def hidden(self, source: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """Decoder states (B, T, W) for source ids (B, S) and target input (B, T)."""


def sentence_loss(model: TeacherForced, batch: PairBatch, label_smoothing: float = 0.0) -> Loss:
    """The summed loss over the real target tokens of ``batch``."""
    hidden = model.hidden(batch.source, batch.target_in, mask=batch.source_mask)
    return states_loss(model, hidden, batch, label_smoothing)


def states_loss(model: TeacherForced, hidden: Tensor, batch: PairBatch, label_smoothing: float = 0.0) -> Loss:
    """The summed loss of decoder states (B, T, W) against what ``batch`` wants to be written there."""
    states, targets = hidden.flatten(0, 1), batch.target_out.flatten()
    if batch.tokens < len(targets):
        real = batch.target_mask.flatten().nonzero()[:, 0]
        states, targets = states.index_select(0, real), targets.index_select(0, real)
    return chunked_cross_entropy(
        states, model.output_weight, targets, bias=model.output_bias, label_smoothing=label_smoothing
    )


def teacher_forcing(label_smoothing: float) -> Objective:
    """The objective that feeds the decoder the right answers, whatever the model would have said."""

    def objective(model: nn.Module, batch: PairBatch, _: int) -> Loss:
        return sentence_loss(cast(TeacherForced, model), batch, label_smoothing)

    return objective


def held_out_loss(model: nn.Module, batch: PairBatch) -> Loss:
    """What ``validation_loss`` measures of sentence pairs."""
    return sentence_loss(cast(TeacherForced, model), batch)
