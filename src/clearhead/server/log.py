"""The service's log: one JSON object a line on stderr, with facts and never with what a user wrote."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Mapping

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


def log(event: str, facts: Mapping[str, Fact], *, level: int = logging.INFO) -> None:
    """One line."""
    LOGGER.log(level, event, extra={"facts": facts})


def log_to_stderr() -> None:
    """Let this service's lines, and warnings of the server below it, go to stderr; nothing else does."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    for name, level in (("clearhead.server", logging.INFO), ("uvicorn.error", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(level)
