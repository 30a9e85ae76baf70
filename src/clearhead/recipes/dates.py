"""Writes a day as people write it in some fifty languages: the source side of the demo corpus.

The patterns, month and weekday names, eras and digits stand in ``dates.json``, taken once from the Unicode CLDR
(``tools/date_table.py``, see NOTICE), so nothing is downloaded and the same package always writes the same text.
A pattern is CLDR's (Unicode Technical Standard 35, part 4): runs of y M L d E c G are fields, text in single quotes
and everything else stands for itself. Knows nothing of models or files.
"""

from __future__ import annotations

import datetime
import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_FIELD = re.compile(r"'([^']*)'|([yMLdEcG])\2*")
_MONTHS, _WEEKDAYS = "ML", "Ec"


@dataclass(frozen=True)
class Language:
    """One language's way with dates: its English name, its digit zero, the patterns in use and the names in them."""

    name: str
    zero: str
    patterns: tuple[str, ...]
    names: dict[str, list[str]]

    def write(self, day: datetime.date, pattern: str) -> str:
        """``day`` written by ``pattern``, in the Gregorian calendar, with this language's digits."""
        return _FIELD.sub(lambda match: self._field(match, day), pattern)

    def _field(self, match: re.Match[str], day: datetime.date) -> str:
        if match[2] is None:
            return match[1]
        field, letter = match[0], match[2]
        if field in self.names:
            return self.names[field][_place(letter, day)]
        number = {"y": day.year, "M": day.month, "L": day.month, "d": day.day}[letter]
        return self._digits(f"{number:0{len(field)}d}")

    def _digits(self, number: str) -> str:
        return "".join(chr(ord(self.zero) + int(digit)) for digit in number)


def _place(letter: str, day: datetime.date) -> int:
    """Where the day's name stands in a list of names: months from January, weekdays from Monday, one era."""
    if letter in _MONTHS:
        return day.month - 1
    return day.weekday() if letter in _WEEKDAYS else 0


@cache
def languages() -> dict[str, Language]:
    """Every language of the table by its tag, such as ``de``."""
    text = resources.files("clearhead.recipes").joinpath("dates.json").read_text(encoding="utf-8")
    return {
        tag: Language(entry["name"], entry["zero"], tuple(entry["patterns"]), entry["names"])
        for tag, entry in json.loads(text).items()
    }
