"""Several copies of one model that share its weights, each running its part of a batch in a thread of its own.

The products of a small model are too small to be shared out among cores: two threads on half a batch each get through
far more of it than one whose every operation is cut in two (benchmarks/training_speed.py). The copies have gradients of
their own, summed in a fixed order, and draw dropout from seeds drawn beforehand, so the sum can be repeated to the bit.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clearhead.hardware import keep_memory
from clearhead.mechanism.dropout import draw_seed, drawing_from, seeded
from clearhead.training.loss import Loss
from clearhead.training.protocol import Batch, Measure
from clearhead.workers import side_by_side

SMALLEST = 512  # tokens, padding included, that are worth a thread
MOST = 8  # each member holds a gradient of the model's size


def useful_members(model: nn.Module) -> int:
    """How many run side by side where nobody says: a thread each on a CPU, at most ``MOST``; one elsewhere.

    One, too, where the model takes statistics of the whole batch (batch normalisation).
    """
    device = next(model.parameters()).device
    whole = any(name.endswith("running_mean") for name, _ in model.named_buffers())
    return 1 if device.type != "cpu" or whole else min(torch.get_num_threads(), MOST)


@dataclass(frozen=True, slots=True)
class _Part:
    """What one member does: its copy of the model, its rows of the batch, the seed of its dropout."""

    model: nn.Module
    batch: Batch
    seed: int


class Team:
    """``members`` threads that work on the batches of ``model``; with one, the model itself works in this thread."""

    def __init__(self, model: nn.Module, objective: Measure, members: int) -> None:
        keep_memory()
        self.objective = objective
        self.parameters = list(model.parameters())
        self.models = [model, *(_sharing(model) for _ in range(members - 1))]

    def add(self, batch: Batch, share: Tensor) -> list[Loss]:
        """Add the gradient of ``batch``, times ``share``, to those of the members; the loss of each one's part."""
        parts = batch.split(max(1, min(len(self.models), batch.cells // SMALLEST)))
        if len(parts) == 1:
            return [self._backward(self.models[0], batch, share)]
        self._align()
        work = [_Part(model, part, draw_seed()) for model, part in zip(self.models, parts, strict=False)]
        return side_by_side(lambda part: self._run(part, share), work, len(work))

    def gather(self) -> None:
        """Sum the members' gradients into the model's own."""
        for model in self.models[1:]:
            sums: list[Tensor] = []
            waiting: list[Tensor] = []
            for own, other in zip(self.parameters, model.parameters(), strict=True):
                if own.grad is None:
                    own.grad = other.grad
                elif other.grad is not None:
                    sums.append(own.grad)
                    waiting.append(other.grad)
            if sums:
                torch._foreach_add_(sums, waiting)
            _forget(model)

    def forget(self) -> None:
        """Drop every gradient."""
        for model in self.models:
            _forget(model)

    def _run(self, part: _Part, share: Tensor) -> Loss:
        with drawing_from(seeded(part.seed, share.device)):
            return self._backward(part.model, part.batch, share)

    def _backward(self, model: nn.Module, batch: Batch, share: Tensor) -> Loss:
        loss = self.objective(model, batch)
        loss.total.backward(share.to(loss.total.dtype))  # type: ignore[no-untyped-call]
        return Loss(loss.total.detach(), loss.nll, loss.count)

    def _align(self) -> None:
        """The copies do as the model does: same weights, should they have moved, and same mode."""
        for model in self.models[1:]:
            if model.training != self.models[0].training:
                model.train(self.models[0].training)
            for own, other in zip(self.parameters, model.parameters(), strict=True):
                if own.data_ptr() != other.data_ptr():
                    other.data = own.data


def _sharing(model: nn.Module) -> nn.Module:
    """A copy of ``model`` with its very weights and buffers, and no gradients."""
    shared: dict[int, object] = {id(buffer): buffer for buffer in model.buffers()}
    for parameter in model.parameters():
        shared[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
    return copy.deepcopy(model, shared)


def _forget(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.grad = None
