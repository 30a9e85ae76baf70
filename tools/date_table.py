"""Writes ``src/clearhead/recipes/dates.json``: how dates are written in the demo's languages, from CLDR through Babel.

Run with ``python tools/date_table.py`` when the languages or CLDR change. The package itself needs neither Babel nor a
download. Left out are forms a reader could take for two different days: years of two digits, and numeric orders
(03/04/2021) that another language of the table writes in a different order with the same separators.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from babel import Locale

OUT = Path(__file__).parents[1] / "src" / "clearhead" / "recipes" / "dates.json"
LANGUAGES = """
    en de fr es it pt nl sv da nb fi is et lv lt pl cs hr hu ro sq tr vi id sw ga eu cy ru uk bg mk sr kk el hy ka he
    ar_EG fa ur hi mr bn ta te th km am zh ja ko
""".split()
SKELETONS = ("yMd", "yMMMd", "yMMMEd", "yMMMMd", "yMMMMEd", "yMMMMEEEEd", "yMMMEEEEd", "yMEEEEd")
INVISIBLE = re.compile("[\u200e\u200f\u061c]")  # direction marks: in CLDR for layout, on nobody's keyboard
NO_BREAK = re.compile("[\u00a0\u202f]")
FIELD = re.compile(r"'[^']*'|([yMLdEcG])\1*")
ZERO = {"latn": "0", "arab": "\u0660", "arabext": "\u06f0", "deva": "\u0966", "beng": "\u09e6"}


def plain(text: str) -> str:
    """The text as a person would type it: ordinary spaces, no invisible marks."""
    return NO_BREAK.sub(" ", INVISIBLE.sub("", text))


def patterns(locale: Locale) -> list[str]:
    """All patterns of a full date with a year of four digits, in CLDR's order, each once."""
    standard = [locale.date_formats[name].pattern for name in ("full", "long", "medium", "short")]
    skeletons = locale.datetime_skeletons
    found = standard + [str(skeletons[name].pattern) for name in SKELETONS if name in skeletons]
    return [p for p in dict.fromkeys(plain(p) for p in found) if "yy" not in FIELD.sub(unquoted, p)]


def unquoted(match: re.Match[str]) -> str:
    """A field as it is, a quoted literal as nothing."""
    return "" if match[0].startswith("'") else match[0]


def numeric_order(pattern: str) -> tuple[str, str] | None:
    """(separators and whether the year leads, order of the fields) of a pattern whose month is a number, else None."""
    fields = [m[0] for m in FIELD.finditer(pattern)]
    if any(len(f) > 2 and f[0] in "ML" for f in fields):
        return None
    order = "".join(f[0] for f in fields if f[0] in "yMd")
    separators = re.sub(r"[\w,]", "", FIELD.sub("", pattern)).strip()
    return separators + ("year first" if order.startswith("y") else ""), order


def names(locale: Locale, used: str) -> dict[str, list[str]]:
    """The month and weekday names which the patterns ``used`` of a language need, by field."""
    places = {
        "MMM": (locale.months, "format", "abbreviated"),
        "MMMM": (locale.months, "format", "wide"),
        "LLL": (locale.months, "stand-alone", "abbreviated"),
        "LLLL": (locale.months, "stand-alone", "wide"),
        "E": (locale.days, "format", "abbreviated"),
        "EEE": (locale.days, "format", "abbreviated"),
        "EEEE": (locale.days, "format", "wide"),
        "ccc": (locale.days, "stand-alone", "abbreviated"),
        "cccc": (locale.days, "stand-alone", "wide"),
    }
    fields = {m[0] for m in FIELD.finditer(used)}
    found = {
        field: [plain(table[context][width][key]) for key in sorted(table[context][width])]
        for field, (table, context, width) in places.items()
        if field in fields
    }
    return found | ({"G": [plain(locale.eras["abbreviated"][1])]} if "G" in fields else {})


def main() -> None:
    """Collect, drop what is ambiguous, write."""
    locales = {name.partition("_")[0]: Locale.parse(name) for name in LANGUAGES}
    every = {tag: patterns(locale) for tag, locale in locales.items()}
    orders: dict[str, set[str]] = {}
    for key in (numeric_order(p) for found in every.values() for p in found):
        if key:
            orders.setdefault(key[0], set()).add(key[1])
    table = {}
    for tag, locale in locales.items():
        kept = [p for p in every[tag] if (key := numeric_order(p)) is None or len(orders[key[0]]) == 1]
        table[tag] = {
            "name": locale.english_name,
            "zero": ZERO[locale.default_numbering_system],
            "patterns": kept,
            "names": names(locale, "|".join(kept)),
        }
    OUT.write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
