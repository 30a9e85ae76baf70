"""A model and the one thread that uses it: everything asked of the model goes through here, so nothing ever meets.

The thread takes what waits, several requests at a time where they go together, and answers each as ``predict`` alone
would have answered it. A request that nobody waits for any more is given up between two tokens.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from clearhead.generation.watch import watching
from clearhead.server.follow import Follow
from clearhead.server.job import Job, Listener
from clearhead.server.line import Line, LineClosed, LineFull
from clearhead.server.metrics import Metrics
from clearhead.server.refusal import STOPPING, Refusal
from clearhead.server.settings import Limits
from clearhead.server.turns import stand_back
from clearhead.service.serving import Served
from clearhead.service.tasks.task import Answer, Predictor

Result = TypeVar("Result")
GATHER_SECONDS = (
    0.004  # how long a busy model waits for the next to come, so that clients in step are answered together
)


class Hosted:
    """``served`` with its line and its thread."""

    def __init__(self, served: Served, limits: Limits, metrics: Metrics) -> None:
        self.name, self.task, self.run = served.name, served.task, served.run
        self.predictor, self.seeded = served.predictor, served.seeded
        self.limits = limits
        self.metrics = metrics
        self.line = Line(limits)
        self.seconds_per_text = 0.1
        self.busy = False
        self._thread = threading.Thread(target=self._work, name=f"model {served.name}", daemon=True)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more; what was accepted is answered first."""
        self.line.close()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end, for so long at most."""
        self._thread.join(seconds)

    async def use(self, call: Callable[[Predictor], Result], deadline: float) -> Result:
        """What ``call`` makes of the model, while nobody else uses it.

        Raises:
            Refusal: there is no room, or it was not done by ``deadline``, a time of ``time.monotonic``.
            ClearheadError: what ``call`` raised.
        """
        job = Job(call, deadline)
        self.enter(job)
        result: Result = await self.wait(job)
        return result

    def texts(
        self,
        inputs: Sequence[Any],
        decoding: dict[str, Any],
        deadline: float,
        listener: Listener | None = None,
    ) -> Job:
        """A request for answers, to be entered and waited for.

        Where draws repeat they depend on the place of a text in its request, so such a request is never joined.
        """
        key = None if self.seeded or "seed" in decoding else json.dumps(decoding, sort_keys=True)
        call: Callable[[Predictor], Any] = lambda predictor: predictor.predict(inputs, **decoding)  # noqa: E731
        return Job(call, deadline, len(inputs), key, inputs, decoding, listener)

    def refuse_if_full(self, ahead: int = 0) -> None:
        """What ``enter`` would say to a request of one input behind ``ahead`` others, before anything of it is read.

        Raises:
            Refusal: there is no room.
        """
        if self.line.full_for(1 + ahead):
            raise self.full()

    def enter(self, job: Job) -> None:
        """Stand in the line.

        Raises:
            Refusal: there is no room, or the service is stopping.
        """
        try:
            self.line.enter(job)
        except LineFull:
            raise self.full() from None
        except LineClosed:
            raise STOPPING from None
        self.metrics.waiting.labels(self.name).set(self.line.weight)

    def full(self) -> Refusal:
        """What is said when there is no room."""
        seconds = max(1, round(self.line.weight * self.seconds_per_text))
        return Refusal(
            429, "too many requests are waiting for this model; try again later", {"Retry-After": str(seconds)}
        )

    async def wait(self, job: Job) -> Any:
        """The job's answer; whoever stops waiting takes the job out of the line, or out of the model.

        Raises:
            Refusal: it was not done by its deadline.
        """
        try:
            async with asyncio.timeout(max(0.0, job.deadline - time.monotonic())):
                return await asyncio.wrap_future(job.answer)
        except TimeoutError:
            raise late() from None
        finally:
            self.drop(job)

    def drop(self, job: Job) -> None:
        """Nobody waits for the job any more: it leaves the line, or the model at the next token; done, nothing."""
        job.answer.cancel()
        self.line.leave(job)

    def _work(self) -> None:
        stand_back()
        gather = 0.0
        while not self.line.over:
            jobs = self.line.take(gather)
            self.metrics.waiting.labels(self.name).set(self.line.weight)
            if jobs:
                self.busy = True
                self._do(jobs)
                self.busy = False
            gather = GATHER_SECONDS if len(jobs) > 1 or len(self.line) else 0.0

    def _do(self, jobs: list[Job]) -> None:
        began = time.monotonic()
        for job in jobs:
            self.metrics.waited.labels(self.name).observe(began - job.entered)
        if len(jobs) == 1:
            self._settle(jobs[0], lambda: self._alone(jobs[0]))
        else:
            self._do_together(jobs)
        weight = sum(job.weight for job in jobs)
        seconds = time.monotonic() - began
        self.seconds_per_text += 0.2 * (seconds / weight - self.seconds_per_text)
        self.metrics.batch(self.name, weight, seconds)

    def _do_together(self, jobs: list[Job]) -> None:
        """All at once; where that fails, one by one, so that nobody gets the error of another."""
        try:
            answers = self._answers(jobs)
        except Exception:
            for job in jobs:
                self._settle(job, partial(self._alone, job))
        else:
            for job, answer in zip(jobs, answers, strict=True):
                self._settle(job, partial(_same, answer))

    def _alone(self, job: Job) -> Any:
        with watching(Follow([job], self.metrics.steps(self.name))):
            return job.call(self.predictor)

    def _answers(self, jobs: Sequence[Job]) -> list[list[Answer]]:
        inputs = [each for job in jobs for each in job.inputs]
        with watching(Follow(jobs, self.metrics.steps(self.name))):
            answers = iter(self.predictor.predict(inputs, **jobs[0].decoding))
        return [[next(answers) for _ in job.inputs] for job in jobs]

    def _settle(self, job: Job, make: Callable[[], Any]) -> None:
        if job.abandoned:
            return
        try:
            outcome, error = make(), None
        except Exception as raised:
            outcome, error = None, raised
        if job.answer.set_running_or_notify_cancel():
            job.answer.set_result(outcome) if error is None else job.answer.set_exception(error)


def late() -> Refusal:
    """What is said at the deadline."""
    return Refusal(504, "the request was not answered within its deadline; ask for less at a time")


def _same(answer: Result) -> Result:
    return answer
