"""Writes each event of a run to where it is kept: ``metrics.jsonl``, and TensorBoard where the settings ask for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from clearhead.training.events import Event
from clearhead.training.job import TrainingJob
from clearhead.training.metrics import NAME, MetricsFile
from clearhead.training.tensorboard import TensorBoardLog


@contextlib.contextmanager
def recording(job: TrainingJob, after: int | None) -> Iterator[Callable[[Event], None]]:
    """A function to call with each event of a run that goes on after update ``after``, or begins where that is None."""
    with contextlib.ExitStack() as stack:
        places: list[MetricsFile | TensorBoardLog] = [MetricsFile(job.out / NAME, after=after)]
        stack.callback(places[0].close)
        if job.settings.tensorboard:
            places.append(TensorBoardLog(job.out / "tensorboard", after=after))
            stack.callback(places[1].close)

        def record(event: Event) -> None:
            for place in places:
                place.add(event)

        yield record
