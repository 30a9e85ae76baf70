"""The training loop: take an update, tell of it; validate, save and stop where it is time to.

``run`` yields typed events and prints nothing. A run resumed from a checkpoint takes the very steps that it would have
taken without the interruption, to the bit, on the same machine with the same build of torch and number of threads.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch

from clearhead.data.order import BatchOrder
from clearhead.errors import RunError
from clearhead.training.begin import begin
from clearhead.training.checkpoint import Checkpoint
from clearhead.training.course import Best, Window
from clearhead.training.ending import choose_weights, write_final_weights
from clearhead.training.evaluate import perplexity
from clearhead.training.events import Event, Finished, Interrupted, Progressed, Started, Validated
from clearhead.training.freezing import freeze
from clearhead.training.identity import identity
from clearhead.training.job import TrainingJob
from clearhead.training.keeper import Keeper, beside
from clearhead.training.lock import only_user
from clearhead.training.optimizer import build_optimizer, state_tensors
from clearhead.training.precision import resolve
from clearhead.training.recording import recording
from clearhead.training.schedule import learning_rate
from clearhead.training.scoring import better, watched
from clearhead.training.signals import Stopped
from clearhead.training.stream import BatchStream
from clearhead.training.update import Updates
from clearhead.training.weights import weights_of


def run(job: TrainingJob) -> Iterator[Event]:
    """Train; in the end the model holds the weights that were kept, and ``model.safetensors`` lies in the run folder.

    Raises:
        RunError: the folder is in use, cannot be resumed or written to, or the loss has stopped being a number.
        ConfigurationError: settings and data do not fit each other.
    """
    with only_user(job.out):
        trainer = Trainer(job)
        with recording(job, trainer.resumed_at) as record:
            for event in trainer.events():
                record(event)
                yield event


class Trainer:
    """One run in progress; ``course`` is its state after the last whole update."""

    def __init__(self, job: TrainingJob) -> None:
        self.job, self.settings = job, job.settings
        if job.settings.threads is not None:
            torch.set_num_threads(job.settings.threads)
        self.precision = resolve(job.settings.precision, next(job.model.parameters()).device)
        self.identity = identity(job, self.precision)
        order = BatchOrder(job.corpus, job.settings.batch_tokens, job.seed)
        freeze(job.model, job.settings)
        self.optimizer = build_optimizer(job.model, job.settings)
        beginning = begin(job, self.optimizer, self.identity)
        self.course, self.found = beginning.course, beginning.checkpoint
        self.resumed_at = self.course.update if self.found.path else None
        self.updates = Updates(job, self.optimizer, self.precision)
        self.updates.random = beginning.random
        self.stream = BatchStream(job.corpus, order, self.course.place, job.settings.max_epochs)
        self.keeper = Keeper(job.checkpoints, job.settings.checkpoints, job.settings.save_attempts)
        self.keeper.newest = self.found.path
        self.keeper.saved_at = self.resumed_at
        self.began, self.before, self.first = time.perf_counter(), self.course.seconds, self.course.update

    def events(self) -> Iterator[Event]:
        """The whole run."""
        yield self._started()
        try:
            yield from self._after_update()
            while not (reason := self._over()):
                told = self.updates.take(self.stream, self.course, self.job.stop)
                if told is None:
                    reason = "epochs"
                    break
                yield from self._tell(told)
                yield from self._after_update()
            if not self.job.stop:
                yield from self._finish(reason)
                return
        except Stopped:
            pass
        yield from self._interrupted()

    def _over(self) -> str:
        """Why no further update is to be taken, if so."""
        if self.job.stop:
            return "stop"
        if self.course.update >= self.settings.updates:
            return "updates"
        return "patience" if 0 < self.settings.patience <= self.course.worse else ""

    def _tell(self, told: list[Event]) -> Iterator[Event]:
        """What happened in the last update; the sums of progress, where it is time for them."""
        yield from told
        if self.course.skipped >= self.settings.skip_limit:
            last = told[-1].as_dict()
            raise RunError(
                f"training stopped after update {self.course.update}: loss or gradient was not finite "
                f"{last['in_a_row']} times in a row (last loss {last['loss']}, norm {last['gradient_norm']}); "
                f"{self.keeper.last_good()}. "
                "Try a lower training.learning_rate, a longer training.warmup, or training.clip"
            )
        if self.course.update % self.settings.log_every == 0:
            yield self._progressed()

    def _after_update(self) -> Iterator[Event]:
        """Snapshot, validation and checkpoint, where they are due after this update and were not yet made."""
        update = self.course.update
        if update == 0 or self.course.skipped:
            return  # weights that give no finite loss are not worth keeping
        if update % self.settings.snapshot_every == 0 and update not in self.course.snapshots:
            yield from self._snapshot()
        if (update % self.settings.validate_every == 0 or update == self.settings.updates) and not self.job.stop:
            yield from self._validate()
        if update % self.settings.checkpoint_every == 0:
            yield from self._save()

    def _snapshot(self) -> Iterator[Event]:
        course = self.course
        if failed := self.keeper.keep_weights(course, self.job.model):
            yield failed
            return
        course.snapshots = [*course.snapshots, course.update][-self.settings.average :]
        course.forget_unneeded_weights()
        self.keeper.sweep(course)

    def _validate(self) -> Iterator[Event]:
        """Validate the present weights, once; the best so far are kept."""
        course = self.course
        if self.job.validate is None or course.validated == course.update:
            return
        self.job.model.eval()
        found = self.job.validate(self.job.model)
        score = watched(self.settings.watch, found)
        improved = math.isfinite(score) and (
            course.best is None or better(self.settings.watch, score, course.best.score)
        )
        course.validated = course.update
        course.worse = 0 if improved else course.worse + 1
        if improved:
            failed = self.keeper.keep_weights(course, self.job.model)
            if failed:
                yield failed
            else:
                course.best = Best(course.update, score)
                course.forget_unneeded_weights()
        yield Validated(
            course.update,
            found.loss,
            perplexity(found.loss),
            dict(found.scores),
            improved,
            found.examples,
            self._seconds(),
        )

    def _save(self) -> Iterator[Event]:
        """Save the whole state, once an update.

        Raises:
            RunError: the weights are not finite, or saving failed too often.
        """
        if self.keeper.saved_at == self.course.update:
            return
        weights = weights_of(self.job.model)
        if bad := [name for name, tensor in weights.items() if not bool(tensor.isfinite().all())]:
            raise RunError(
                f"training stopped after update {self.course.update}: {bad[0]} is not finite, so the model is lost; "
                f"{self.keeper.last_good()}. Try a lower training.learning_rate or training.clip"
            )
        self.course.seconds = self._seconds()
        state = {"identity": self.identity, "course": self.course.as_dict()}
        optimizer = state_tensors(self.optimizer, self.job.model)
        whole = Checkpoint(self.course.update, weights, optimizer, self.updates.random, state, beside(self.course))
        yield self.keeper.keep_checkpoint(whole)

    def _interrupted(self) -> Iterator[Event]:
        """Save, and say so.

        Raises:
            RunError: this save failed, and there is no second chance.
        """
        if self.course.update:
            self.keeper.attempts = self.keeper.failures + 1
            yield from self._save()
        yield Interrupted(self.course.update, self.job.stop.number, str(self.keeper.newest or self.job.out))

    def _finish(self, reason: str) -> Iterator[Event]:
        course = self.course
        if course.window.timed:
            yield self._progressed()
        yield from self._validate()
        yield from self._save()
        self.keeper.saved_at = course.update  # even where that failed: from here on the model may hold other weights
        self.job.model.eval()
        ending = choose_weights(self.job, course, self.keeper)
        digest = write_final_weights(self.job)
        yield Finished(
            course.update,
            reason,
            ending.kept,
            ending.candidates,
            course.tokens,
            self._seconds(),
            digest.sha256,
            self._trained(),
        )

    def _started(self) -> Started:
        parameters = list(self.job.model.parameters())
        return Started(
            self.course.update,
            self.settings.updates,
            sum(parameter.numel() for parameter in parameters),
            self.precision,
            torch.get_num_threads(),
            str(parameters[0].device),
            self.resumed_at is not None,
            self.found.passed_over,
            self._trained(),
        )

    def _trained(self) -> int:
        """How many parameters are trained; a tied one counts once."""
        return sum(parameter.numel() for parameter in self.job.model.parameters() if parameter.requires_grad)

    def _progressed(self) -> Progressed:
        course, window = self.course, self.course.window
        course.window = Window()
        tokens = max(window.tokens, 1)
        return Progressed(
            update=course.update,
            updates=self.settings.updates,
            epoch=course.place.epoch,
            loss=window.loss / tokens if window.tokens else float("nan"),
            nll=window.nll / tokens if window.tokens else float("nan"),
            learning_rate=learning_rate(self.settings, course.update),
            gradient_norm=course.gradient_norm,
            tokens=course.tokens,
            padding=1 - window.real / window.cells,
            tokens_per_second=window.timed / window.seconds,
            seconds=self._seconds(),
            seconds_left=self._seconds_left(),
        )

    def _seconds(self) -> float:
        return self.before + time.perf_counter() - self.began

    def _seconds_left(self) -> float:
        """At the pace of this process, validations included."""
        done = self.course.update - self.first
        return (self.settings.updates - self.course.update) * (time.perf_counter() - self.began) / max(done, 1)
