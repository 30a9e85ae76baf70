"""The watch over one batch: hands each request what is written for it, and gives up what nobody waits for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from clearhead.generation.watch import Step
from clearhead.server.job import Job


class Follow:
    """See ``generation.watch``: inputs are numbered through all ``jobs``, in their order."""

    def __init__(self, jobs: Sequence[Job], count: Callable[[float], None]) -> None:
        """``count`` is told after each step how many inputs it went on with."""
        self.owners = [(job, number) for job in jobs for number in range(job.weight)]
        self.only = jobs[0] if len(jobs) == 1 else None
        self.count = count

    def __call__(self, step: Step) -> Collection[int]:
        """The inputs of requests that are abandoned."""
        alive = step.alive()
        self.count(sum(alive))
        unwanted = set()
        for row, number in enumerate(step.numbers):
            if not alive[row]:
                continue
            job, own = (self.only, number) if self.only else self.owners[number]
            if job.abandoned:
                unwanted.add(number)
            elif job.listener is not None:
                job.listener(step, row, own)
        return unwanted
