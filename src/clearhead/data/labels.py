"""The labels of a run: their names, in the order of their numbers, and how many texts of the training data have each.

Kept as JSON in the run folder. Knows no texts and no tensors.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from clearhead.errors import DataError


@dataclass(frozen=True)
class Labels:
    """``names[number]``, and ``counts[number]`` in training."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, rows: Iterable[Sequence[str]], names: Sequence[str] | None) -> Labels:
        """Those of a training set, in the order of ``names``; else whole numbers by size, then the rest by alphabet."""
        counts = Counter(label for row in rows for label in row)
        ordered = tuple(names) if names is not None else tuple(sorted(counts, key=by_size))
        return cls(ordered, tuple(counts[name] for name in ordered))

    @property
    def numbers(self) -> dict[str, int]:
        """The number of each name."""
        return {name: number for number, name in enumerate(self.names)}

    @property
    def fingerprint(self) -> str:
        """sha256 of all of it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """JSON text, the same for the same labels."""
        return json.dumps({"labels": self.names, "counts": self.counts}, ensure_ascii=False, indent=0) + "\n"


def read_label_names(path: Path) -> tuple[str, ...]:
    """The names in a file with one on each line.

    Raises:
        DataError: the file is missing, is not UTF-8, names a label twice or none at all.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise DataError(f"there is no file of labels {path}") from None
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start + 1} is not valid UTF-8; expected the name of a label a line"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    names = [line.strip() for line in lines]
    while names and not names[-1]:
        names.pop()
    seen: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if not name:
            raise DataError(f"{path}:{number}: expected the name of a label, got a blank line")
        if name in seen:
            raise DataError(f"{path}:{number}: the label {name!r} stands in line {seen[name]}, too")
        seen[name] = number
    if not names:
        raise DataError(f"{path} is empty: expected the name of a label on each line")
    return tuple(names)


def by_size(label: str) -> tuple[bool, int, str]:
    """A key to sort by: whole numbers first and in their order, then the rest by alphabet."""
    whole = label.isascii() and label.removeprefix("-").isdecimal() and len(label) < 20
    return not whole, int(label) if whole else 0, label
