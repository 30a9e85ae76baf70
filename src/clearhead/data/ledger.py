"""Counts what happened to every line of a data file: by reason, with the first few places where it happened.

A strict ledger raises at the first line that cannot be used; a lenient one writes it down and the caller goes on.
It does not know formats or policies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clearhead.errors import DataError

_PLACES = 5


class Ledger:
    """``read`` pairs came in; those in ``dropped`` did not go on, each for one reason; those in ``noted`` did."""

    def __init__(self, *, strict: bool = True) -> None:
        """``strict``: ``bad`` raises instead of counting."""
        self.strict = strict
        self.read = 0
        self.dropped: dict[str, _Entry] = {}
        self.noted: dict[str, _Entry] = {}

    def bad(self, reason: str, path: Path, line: int, detail: str = "") -> None:
        """A line that cannot be read as a pair.

        Raises:
            DataError: this ledger is strict.
        """
        if self.strict:
            cause = f" ({detail})" if detail else ""
            raise DataError(
                f'{path}:{line}: {reason}{cause}; correct the line, or set bad_lines = "skip" to leave it out'
            )
        self.drop(reason, path, line)

    def drop(self, reason: str, path: Path, line: int) -> None:
        """A pair does not go on, for one reason."""
        self.dropped.setdefault(reason, _Entry()).add(path, line)

    def note(self, remark: str, path: Path, line: int) -> None:
        """A line goes on, but something was done to it or is worth knowing."""
        self.noted.setdefault(remark, _Entry()).add(path, line)

    @property
    def kept(self) -> int:
        """How many of the pairs read have not been dropped."""
        return self.read - sum(entry.count for entry in self.dropped.values())

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON: ``read``, ``kept``, and per reason the count and the first places."""
        return {
            "read": self.read,
            "kept": self.kept,
            "dropped": {reason: entry.as_dict() for reason, entry in sorted(self.dropped.items())},
            "noted": {remark: entry.as_dict() for remark, entry in sorted(self.noted.items())},
        }


class _Entry:
    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, path: Path, line: int) -> None:
        self.count += 1
        if len(self.first) < _PLACES:
            # The name without its folder: a report stays true when data and run move to another machine.
            self.first.append(f"{path.name}:{line}")

    def as_dict(self) -> dict[str, Any]:
        return {"count": self.count, "first": self.first}
