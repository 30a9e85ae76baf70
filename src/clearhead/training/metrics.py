"""``metrics.jsonl``: the history of a run, one JSON object a line, as if the run had never been interrupted.

On resuming, lines of updates that will be done again, and a line cut short by a kill, are removed first. A disk that is
full for a while loses nothing: what could not be written is kept and written with the next line.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from clearhead.training.events import Event

NAME = "metrics.jsonl"


class MetricsFile:
    """Appends recorded events to ``path``, each flushed at once."""

    def __init__(self, path: Path, *, after: int | None = None) -> None:
        """Go on after update ``after``; begin a new file where that is None."""
        self.path = path
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._end = 0 if after is None else _length_up_to(path, after)
        self._waiting: list[bytes] = []
        os.ftruncate(self._handle, self._end)

    def add(self, event: Event) -> None:
        """Write ``event`` if it belongs to the history."""
        if event.recorded:
            self._waiting.append(json.dumps(event.as_dict(), ensure_ascii=False, allow_nan=False).encode() + b"\n")
            self._write()

    def close(self) -> None:
        """Write what is left and let go of the file."""
        self._write()
        os.close(self._handle)

    def _write(self) -> None:
        """Write what waits; where the disk refuses, cut off what came through and wait for the next event."""
        text = b"".join(self._waiting)
        try:
            written = os.pwrite(self._handle, text, self._end)
            if written == len(text):
                self._end += written
                self._waiting.clear()
        except OSError:
            return


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The complete lines of a metrics file, oldest first."""
    lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    return [json.loads(line) for line in lines]


def _length_up_to(path: Path, update: int) -> int:
    """The bytes of the leading complete lines that speak of no update after ``update``, nor of the end of the run."""
    length = 0
    with path.open("rb") as file:
        for line in file:
            if not _stays(line, update):
                break
            length += len(line)
    return length


def _stays(line: bytes, update: int) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        table = json.loads(line)
        return bool(table["update"] <= update and table["event"] != "finished")
    except (ValueError, LookupError, TypeError):
        return False
