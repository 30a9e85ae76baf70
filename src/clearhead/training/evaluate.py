"""The held-out loss: without dropout or smoothing, in nats per item that the loss counts, over batch after batch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from clearhead.errors import DataError
from clearhead.training.protocol import Batch, Measure
from clearhead.training.signals import StopFlag, Stopped


def validation_loss(
    model: nn.Module,
    batches: Iterable[Batch],
    measure: Measure,
    *,
    autocast: AbstractContextManager[object] | None = None,
    stop: StopFlag | None = None,
) -> float:
    """Mean negative log-likelihood of the items of ``batches``, in nats, by ``measure``. The model keeps its mode.

    Raises:
        DataError: there is no batch.
        Stopped: ``stop`` was set on the way.
    """
    device = next(model.parameters()).device
    total, tokens, training = torch.zeros((), dtype=torch.float64, device=device), 0, model.training
    model.eval()
    try:
        with torch.inference_mode(), autocast or nullcontext():
            for batch in batches:
                if stop:
                    raise Stopped
                loss = measure(model, batch.to(device))
                total += loss.nll
                tokens += loss.count
    finally:
        model.train(training)
    if not tokens:
        raise DataError("the validation data holds nothing to measure: there is no loss to compute")
    return float(total) / tokens


def perplexity(loss: float) -> float:
    """exp(loss), infinite where that is too large for a number."""
    return math.exp(loss) if loss < 700 else math.inf
