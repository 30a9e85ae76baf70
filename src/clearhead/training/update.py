"""One update: batches in, a step of the optimiser out, or nothing at all where loss or gradient is not a number.

Everything that an update changes (weights, moments, ``Course``, random states) changes only once its gradient is whole,
so an update that is stopped half-way has not happened.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim import Optimizer

from clearhead.training import randomness
from clearhead.training.accumulate import Accumulation, Gradient
from clearhead.training.course import Course
from clearhead.training.events import Event, Skipped, Spiked, Split
from clearhead.training.job import TrainingJob
from clearhead.training.loss import Loss
from clearhead.training.optimizer import set_learning_rate
from clearhead.training.precision import autocast
from clearhead.training.protocol import Batch
from clearhead.training.schedule import learning_rate
from clearhead.training.settings import Precision
from clearhead.training.signals import StopFlag
from clearhead.training.spikes import remember, spike
from clearhead.training.stream import BatchStream
from clearhead.training.team import useful_members


class Updates:
    """Takes the updates of one run, one a call. ``random`` is the state of the generators after the last whole one."""

    def __init__(self, job: TrainingJob, optimizer: Optimizer, precision: Precision) -> None:
        self.model, self.settings, self.objective = job.model, job.settings, job.objective
        self.optimizer = optimizer
        self.precision = precision
        self.random: dict[str, Tensor] = {}
        self.update = 1
        members = self.settings.side_by_side or useful_members(self.model)
        self.gradient = Accumulation(self.model, self._loss, members)

    def take(self, stream: BatchStream, course: Course, stop: StopFlag) -> list[Event] | None:
        """Take the next update and note it in ``course``; what there is to tell of it.

        Returns None, and changes nothing that is saved, where the batches have come to an end or ``stop`` was set.
        """
        began = time.perf_counter()
        batches = stream.take(self.settings.accumulate)
        if not batches:
            return None
        self.model.train()
        randomness.restore(self.random, self.gradient.device)
        self.update = course.update + 1
        gradient = self.gradient(batches, stop)
        if gradient is None:
            return None
        if gradient.finite:
            self._apply(gradient, course.update + 1)
        self.gradient.forget()
        self.random = randomness.capture(self.gradient.device)
        course.update += 1
        course.place = stream.place
        events = _note(course, gradient)
        _measure(course, batches, gradient, time.perf_counter() - began)
        return events

    def _loss(self, model: nn.Module, batch: Batch) -> Loss:
        with autocast(self.precision, self.gradient.device):
            return self.objective(model, batch, self.update)

    def _apply(self, gradient: Gradient, update: int) -> None:
        if self.settings.clip:
            self.gradient.clip(gradient.norm, self.settings.clip)
        set_learning_rate(self.optimizer, learning_rate(self.settings, update))
        self.optimizer.step()


def _note(course: Course, gradient: Gradient) -> list[Event]:
    """Enter the outcome of an update into ``course``; what was out of the ordinary."""
    events: list[Event] = []
    if gradient.trouble:
        events.append(Split(course.update, gradient.parts, gradient.trouble))
    if not gradient.finite:
        course.skipped += 1
        return [*events, Skipped(course.update, gradient.loss, gradient.norm, course.skipped)]
    course.skipped = 0
    jump = spike(course.losses, gradient.nll)
    course.losses = remember(course.losses, gradient.nll, jump is not None)
    if jump:
        events.append(Spiked(course.update, gradient.nll, jump.usual, jump.score))
    return events


def _measure(course: Course, batches: Sequence[Batch], gradient: Gradient, seconds: float) -> None:
    """Add an update to the sums that progress is told from."""
    window = course.window
    course.tokens += gradient.tokens
    window.seconds += seconds
    window.cells += sum(batch.cells for batch in batches)
    window.real += sum(batch.real for batch in batches)
    window.timed += gradient.tokens
    if gradient.finite:
        course.gradient_norm = gradient.norm
        window.loss += gradient.loss * gradient.tokens
        window.nll += gradient.nll * gradient.tokens
        window.tokens += gradient.tokens
