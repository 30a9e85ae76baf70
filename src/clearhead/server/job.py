"""One thing a model is asked to do, from the moment it is accepted until it is answered or nobody waits any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from clearhead.generation.watch import Step
from clearhead.service.tasks.task import Predictor

Listener = Callable[[Step, int, int], None]
"""(step, the row of it that is meant, the number of the input within its own request)"""


@dataclass(eq=False)
class Job:
    """``call`` is what is done, by the model's own thread and for this job alone, unless ``key`` says otherwise:
    jobs with one key are answered by one ``predict`` of all their inputs.

    ``deadline`` is a time of ``time.monotonic``. ``weight`` is counted against the queue: the number of inputs.
    """

    call: Callable[[Predictor], Any]
    deadline: float
    weight: int = 1
    key: Hashable | None = None
    inputs: Sequence[Any] = ()
    decoding: dict[str, Any] = field(default_factory=dict)
    listener: Listener | None = None
    answer: Future[Any] = field(default_factory=Future)
    entered: float = field(default_factory=time.monotonic)

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits: the client went, or the deadline passed."""
        return self.answer.cancelled() or time.monotonic() > self.deadline

    @property
    def longest(self) -> int:
        """Characters of the longest input, or numbers of a sequence of vectors."""
        return max((extent(each) for each in self.inputs), default=0)


def extent(value: Any) -> int:
    """How much an input is to read: characters of text, and one for every number."""
    if isinstance(value, str):
        return len(value)
    return sum(map(extent, value)) if isinstance(value, list | tuple) else 1
