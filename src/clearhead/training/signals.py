"""From SIGINT and SIGTERM to a flag that the training loop looks at between steps.

The handler does nothing but set the flag and give both signals back to the system, so a second one ends the process at
once. Whoever saves, saves in the loop.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

WATCHED = (signal.SIGINT, signal.SIGTERM)


class StopFlag:
    """Truthy once somebody wants training to stop; ``number`` is the signal's, 0 where there was none."""

    def __init__(self) -> None:
        self.number = 0
        self._set = False

    def __bool__(self) -> bool:
        return self._set

    def set(self, number: int = 0) -> None:
        """Ask for a stop."""
        self.number = number
        self._set = True


class Stopped(Exception):
    """Raised by a validation that saw the flag and gave up; the loop saves and repeats that validation on resuming."""


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopFlag]:
    """A flag that SIGINT and SIGTERM set inside the ``with``; the former handlers are put back after it.

    Only the main thread may use this; elsewhere make a ``StopFlag`` and set it.
    """
    flag = StopFlag()

    def ask(number: int, frame: FrameType | None) -> None:
        flag.set(number)
        for watched in WATCHED:
            signal.signal(watched, signal.SIG_DFL)

    former = {watched: signal.signal(watched, ask) for watched in WATCHED}
    try:
        yield flag
    finally:
        for watched, handler in former.items():
            signal.signal(watched, handler)
