"""The service's log: one JSON object a line on stderr, with facts and never with what a user wrote."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TextIO

Fact = str | int | float | bool | None | list[str]
LOGGER = logging.getLogger("clearhead.server")


class JsonLines(logging.Formatter):
    """Any record as one line: its own facts where it has them, otherwise only where it came from."""

    def format(self, record: logging.LogRecord) -> str:
        """Time (UTC), level, event, facts."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        facts: Mapping[str, Fact] = getattr(record, "facts", {"from": record.name})
        line = {"time": f"{moment}.{int(record.msecs):03d}Z", "level": record.levelname.lower(), "event": record.msg}
        return json.dumps(line | dict(facts), ensure_ascii=True, default=str)


class Together(logging.Handler):
    """Writes the lines of one turn of the running loop at once, at its end; elsewhere each line as it comes.

    A write gives the interpreter away, and the loop may have to wait for it: once a turn, and after the answers.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a line."""
        try:
            self.lines.append(f"{self.format(record)}\n")
            if len(self.lines) == 1 and (loop := _running()) is not None:
                loop.call_soon(self.flush)
            elif _running() is None:
                self.flush()
        except Exception:
            self.handleError(record)

    def flush(self) -> None:
        """Write what there is."""
        with self.lock or nullcontext():
            lines, self.lines = self.lines, []
            if lines:
                self.stream.write("".join(lines))
                self.stream.flush()


def _running() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def log(event: str, facts: Mapping[str, Fact], *, level: int = logging.INFO) -> None:
    """One line."""
    LOGGER.log(level, event, extra={"facts": facts})


def log_to_stderr() -> None:
    """Let this service's lines, and warnings of the server below it, go to stderr; nothing else does."""
    handler = Together(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("clearhead.server", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
