"""One batch of texts through a model that classifies them, up to the loss: one label a text, or any number of them.

One label (multi-class), with weights w of the labels and smoothing ε (Szegedy et al. 2016):

    loss = Σ_n w_y [ −(1 − ε) log p_n,y − ε mean_c log p_n,c ],    p = softmax(z)

Any number (multi-label), every label a question of its own, w on the answer yes:

    loss = −Σ_n Σ_c [ w_c t log σ(z) + (1 − t) log (1 − σ(z)) ],    t = (1 − ε) [n has c] + ε / 2

Sums are over texts. There are few labels, so logits are plain. The model is known by one member.
"""

from __future__ import annotations

from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clearhead.data.text_batch import TextBatch
from clearhead.training.loss import Loss
from clearhead.training.protocol import Objective


class Classifying(Protocol):
    """What training asks of a model."""

    def logits(self, inputs: Tensor, *, mask: Tensor | None = None, ngrams: Tensor | None = None) -> Tensor:
        """Scores of every label (B, C) for ids (B, P)."""


def class_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Loss:
    """The loss of logits (B, C) against one label each, int64 (B,); ``weights`` (C,), all 1 where there are none."""
    logs = logits.float().log_softmax(-1) if logits.dtype != torch.float64 else logits.log_softmax(-1)
    nll = -logs.gather(1, labels[:, None])[:, 0]
    smoothed = (1 - label_smoothing) * nll - label_smoothing * logs.mean(-1)
    weighted = smoothed if weights is None else smoothed * weights.to(smoothed)[labels]
    return Loss(weighted.sum(), nll.detach().sum(), len(labels))


def label_set_loss(logits: Tensor, labels: Tensor, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Loss:
    """The loss of logits (B, C) against the labels each has, bool (B, C); ``weights`` (C,) as above."""
    logits = logits.float() if logits.dtype != torch.float64 else logits
    wanted = labels.to(logits)
    smoothed = wanted * (1 - label_smoothing) + label_smoothing / 2
    weight = None if weights is None else weights.to(logits)
    total = F.binary_cross_entropy_with_logits(logits, smoothed, pos_weight=weight, reduction="sum")
    plain = F.binary_cross_entropy_with_logits(logits.detach(), wanted, reduction="sum")
    return Loss(total, plain, len(labels))


def batch_loss(model: nn.Module, batch: TextBatch, weights: Tensor | None = None, label_smoothing: float = 0.0) -> Loss:
    """The loss of a batch, of the kind that its labels say."""
    logits = cast(Classifying, model).logits(batch.ids, mask=batch.mask, ngrams=batch.ngrams)
    loss = class_loss if batch.labels.dim() == 1 else label_set_loss
    return loss(logits, batch.labels, weights, label_smoothing)


def classifying(weights: Tensor | None, label_smoothing: float) -> Objective:
    """The objective of both tasks."""

    def objective(model: nn.Module, batch: TextBatch, _: int) -> Loss:
        return batch_loss(model, batch, weights, label_smoothing)

    return objective
