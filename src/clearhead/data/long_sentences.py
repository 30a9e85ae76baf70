"""The declared policy for sentences with more positions than a model may read: split, cut, drop or refuse, counted.

It knows how many positions each word takes, and neither how words are cut nor what becomes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clearhead.data.ledger import Ledger
from clearhead.data.surroundings import room_inside
from clearhead.data.tag_settings import TagData
from clearhead.errors import DataError


def even_parts(sizes: Sequence[int], limit: int) -> list[slice]:
    """Runs of words, all of them in order, of nearly equal numbers of positions, none above ``limit``.

    No word may take more than ``limit`` positions by itself.

    >>> even_parts([1] * 10, 4)
    [slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)]
    """
    total = sum(sizes)
    target = -(-total // -(-total // limit)) if total else limit
    cuts, filled = [0], 0
    for place, size in enumerate(sizes):
        if filled and filled + size > target:
            cuts.append(place)
            filled = 0
        filled += size
    return [slice(start, stop) for start, stop in zip(cuts, [*cuts[1:], len(sizes)], strict=True)]


class LongSentences:
    """Which words of a sentence are kept, and in which parts; writes down what is not as it was."""

    def __init__(self, settings: TagData, path: Path, ledger: Ledger, around: int = 0) -> None:
        """``around``: positions of every sentence that are no word's.

        Raises:
            ConfigurationError: ``max_length`` leaves no room for words.
        """
        self.limit = room_inside(settings.max_length, around)
        self._settings = settings
        self.path = path
        self._ledger = ledger

    def parts(self, sizes: Sequence[int], line: int) -> list[slice]:
        """The parts of a sentence whose words take ``sizes`` positions; none where it is dropped.

        Raises:
            DataError: it is too long and ``too_long`` is "refuse".
        """
        limit, policy = self.limit, self._settings.too_long
        if (length := sum(sizes)) <= limit:
            return [slice(0, len(sizes))]
        if policy == "refuse":
            raise DataError(
                f"{self.path}:{line}: the sentence takes {length + self._settings.max_length - limit} positions, "
                f'max_length is {self._settings.max_length}; raise it, or set too_long = "split", "cut" or "drop"'
            )
        if policy == "drop":
            self._ledger.drop(f"a sentence of more than {limit} positions", self.path, line)
            return []
        parts = even_parts(sizes, limit)
        if policy == "split":
            self._ledger.note(f"a sentence of more than {limit} positions split", self.path, line)
            return parts
        self._ledger.note(f"a sentence cut to {limit} positions", self.path, line)
        return [slice(0, _fitting(sizes, limit))]


def _fitting(sizes: Sequence[int], limit: int) -> int:
    """How many words fit."""
    filled = 0
    for place, size in enumerate(sizes):
        filled += size
        if filled > limit:
            return place
    return len(sizes)
