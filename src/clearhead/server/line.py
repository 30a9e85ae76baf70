"""The line in front of one model: bounded, first come first served, with jobs of like key let in together.

``enter`` refuses at once when the line is full, before anything has been done for the job. Knows nothing of HTTP.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from clearhead.server.job import Job
from clearhead.server.settings import Limits


class LineFull(Exception):
    """There is no room for another job of that weight."""


class LineClosed(Exception):
    """Nothing is accepted any more."""


class Line:
    """Jobs that wait. Any thread may enter or leave; one thread takes."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.weight = 0
        self._jobs: list[Job] = []
        self._closed = False
        self._change = threading.Condition()

    def __len__(self) -> int:
        return len(self._jobs)

    def full_for(self, weight: int) -> bool:
        """Whether a job of this weight would be refused now."""
        return self.weight + weight > self.limits.queue_texts

    def enter(self, job: Job) -> None:
        """Wait to be taken.

        Raises:
            LineFull, LineClosed
        """
        with self._change:
            if self._closed:
                raise LineClosed
            if self.full_for(job.weight):
                raise LineFull
            self._jobs.append(job)
            self.weight += job.weight
            self._change.notify()

    def leave(self, job: Job) -> None:
        """Give the place back, if the job still waits."""
        with self._change:
            self._remove([each for each in self._jobs if each is job])

    def take(self, gather_seconds: float = 0.0) -> list[Job]:
        """The oldest job, with those that go with it; an empty list once the line is closed and empty.

        Waits up to ``gather_seconds`` for company as long as more keep coming.
        """
        with self._change:
            self._change.wait_for(lambda: self._jobs or self._closed)
            while gather_seconds and not self._closed and self._change.wait(gather_seconds):
                if self.weight >= self.limits.batch_texts:
                    break
            self._remove([job for job in self._jobs if job.abandoned])
            chosen = together(self._jobs, self.limits) if self._jobs else []
            self._remove(chosen)
        return chosen

    def close(self) -> None:
        """Accept nothing more; what waits is still taken."""
        with self._change:
            self._closed = True
            self._change.notify_all()

    @property
    def over(self) -> bool:
        """Whether nothing waits and nothing will."""
        return self._closed and not self._jobs

    def _remove(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            self._jobs.remove(job)
            self.weight -= job.weight


def together(jobs: Sequence[Job], limits: Limits) -> list[Job]:
    """The oldest job and those of its key nearest to it in length, while they make a rectangle of bounded size."""
    oldest = jobs[0]
    if oldest.key is None:
        return [oldest]
    others = [job for job in jobs[1:] if job.key == oldest.key]
    chosen, rows, longest = [oldest], oldest.weight, oldest.longest
    for job in sorted(others, key=lambda job: abs(job.longest - oldest.longest)):
        wider = max(longest, job.longest)
        if rows + job.weight <= limits.batch_texts and (rows + job.weight) * wider <= limits.batch_characters:
            chosen, rows, longest = [*chosen, job], rows + job.weight, wider
    return chosen
