"""Some thousands of real lines in many scripts: names and dates in their own languages (Unicode's CLDR), and code."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from babel import Locale
from babel.dates import format_datetime

LANGUAGES = "en de fr pl tr vi ru uk el zh ja ko hi bn ta th km my ka am ar he fa".split()
ODD = [
    "",
    " ",
    "  two  spaces ",
    "tab\there",
    "a line\nand\r\nanother",
    "ﬁ ligature ①②",
    "x\u3000y",
    "naïve cafe\u0301",
    "😀 👩‍👩‍👧 🇫🇷",
    "Ａｂｃ",
    "½ ™ …",
    "a\u200bb\u00ad",
    "don't I'll we've",
    "3.14159 1,000,000 0x1F",
    "def f(x): return x**2  # square",
    "a" * 200,
]


@cache
def real_lines() -> tuple[str, ...]:
    """The same lines each time."""
    lines: list[str] = []
    for language in LANGUAGES:
        locale = Locale(language)
        places, languages = list(locale.territories.values()), list(locale.languages.values())
        lines += [str(name) for name in places[:50] + languages[:50]]
        lines += [", ".join(map(str, places[n : n + 6])) + "." for n in range(0, 120, 6)]
        lines += [
            format_datetime(datetime(1901 + 7 * n, 1 + n % 12, 1 + n, 13, n, tzinfo=UTC), "full", locale=locale)
            for n in range(16)
        ]
    source = Path(sys.modules["json.decoder"].__file__ or "").read_text(encoding="utf-8")
    return (*ODD, *lines, *[line for line in source.split("\n") if line.strip()][:300])
