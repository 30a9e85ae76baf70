"""One batch of sentences through a model that gives every word a tag, up to the loss: cross-entropy over real words.

Only the states of words that have a tag meet the output matrix. The model is known by three members; what it is made of
is its own affair.
"""

from __future__ import annotations

from typing import Protocol, cast

from torch import Tensor, nn

from clearhead.data.tag_batch import UNSCORED, TagBatch
from clearhead.data.vector_batch import VectorBatch
from clearhead.training.loss import Loss, chunked_cross_entropy
from clearhead.training.protocol import Objective


class Labelling(Protocol):
    """What training asks of a model."""

    @property
    def output_weight(self) -> Tensor:
        """The output matrix (C, W), a row a tag."""

    @property
    def output_bias(self) -> Tensor | None:
        """The output bias (C,), where there is one."""

    def hidden(
        self,
        inputs: Tensor,
        *,
        mask: Tensor | None = None,
        ngrams: Tensor | None = None,
        words: Tensor | None = None,
    ) -> Tensor:
        """A state a word (B, W, width) for ids (B, P); ``words`` says which word a position belongs to."""


def tag_loss(model: Labelling, batch: TagBatch, label_smoothing: float = 0.0) -> Loss:
    """The summed loss over the words of ``batch`` that have a tag."""
    states = model.hidden(batch.ids, mask=batch.mask, ngrams=batch.ngrams, words=batch.words).flatten(0, 1)
    tags = batch.tags.flatten()
    if batch.tokens < len(tags):
        scored = (tags != UNSCORED).nonzero()[:, 0]
        states, tags = states.index_select(0, scored), tags.index_select(0, scored)
    return chunked_cross_entropy(
        states, model.output_weight, tags, bias=model.output_bias, label_smoothing=label_smoothing
    )


def labelling(label_smoothing: float) -> Objective:
    """The objective of tagging."""

    def objective(model: nn.Module, batch: TagBatch, _: int) -> Loss:
        return tag_loss(cast(Labelling, model), batch, label_smoothing)

    return objective


class VectorLabelling(Protocol):
    """What training on vectors asks of a model."""

    @property
    def output_weight(self) -> Tensor:
        """The output matrix (C, W), a row a label."""

    @property
    def output_bias(self) -> Tensor | None:
        """The output bias (C,), where there is one."""

    def hidden(self, inputs: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """A state a vector (B, T, width) for vectors (B, T, F), or one a sequence (B, width)."""


def vector_loss(model: VectorLabelling, batch: VectorBatch, label_smoothing: float = 0.0) -> Loss:
    """The summed loss over the vectors, or the sequences, of ``batch`` that have a label."""
    states = model.hidden(batch.vectors, mask=batch.mask)
    states, labels = states.reshape(-1, states.shape[-1]), batch.labels.flatten()
    if batch.tokens < len(labels):
        scored = (labels != UNSCORED).nonzero()[:, 0]
        states, labels = states.index_select(0, scored), labels.index_select(0, scored)
    return chunked_cross_entropy(
        states, model.output_weight, labels, bias=model.output_bias, label_smoothing=label_smoothing
    )


def vector_labelling(label_smoothing: float) -> Objective:
    """The objective of labelling vectors or sequences of them."""

    def objective(model: nn.Module, batch: VectorBatch, _: int) -> Loss:
        return vector_loss(cast(VectorLabelling, model), batch, label_smoothing)

    return objective
