"""A map of attention drawn with shaded blocks: what is written down the side, what is read across the top."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text

from clearhead.service.look import Look, Map

SHADES = " ·░▒▓█"
STEPS = (0.02, 0.08, 0.25, 0.5, 0.75)
TALLEST = 12
INK = Style(color="cyan")


def draw_map(look: Look, chosen: Map) -> Text:
    """The map as lines of text: each row ends with the piece most looked at and its share."""
    source, target = ([harmless(label) for label in labels] for labels in look.labels())
    margin = max(cell_len(piece) for piece in target)
    drawing = Text()
    for line in headings(source):
        drawing.append(" " * (margin + 2) + line.rstrip() + "\n", Style(dim=True))
    for piece, weights in zip(target, chosen.tolist(), strict=True):
        best = max(range(len(weights)), key=weights.__getitem__)
        drawing.append(" " * (margin - cell_len(piece)) + piece + "  ", Style(bold=True))
        drawing.append("".join(2 * shade(weight) for weight in weights), INK)
        drawing.append(f"  {source[best]} {weights[best]:.2f}\n", Style(dim=True))
    return drawing


def headings(pieces: Sequence[str]) -> list[str]:
    """The pieces written downwards, two cells a column, standing on one line."""
    columns = [_cut(piece) for piece in pieces]
    height = max((len(column) for column in columns), default=0)
    columns = [[""] * (height - len(column)) + column for column in columns]
    return ["".join(letter + " " * (2 - cell_len(letter)) for letter in row) for row in zip(*columns, strict=True)]


def shade(weight: float) -> str:
    """One of six shades for a weight between 0 and 1."""
    return SHADES[sum(weight >= step for step in STEPS)]


def harmless(text: str) -> str:
    """``text`` without what a terminal would obey: control and direction characters become ``·``."""
    return "".join("·" if unicodedata.category(letter)[0] == "C" else letter for letter in text)


def _cut(piece: str) -> list[str]:
    """Its letters, marks kept with the letter they stand on, at most ``TALLEST``."""
    letters: list[str] = []
    for letter in piece:
        if letters and cell_len(letter) == 0:
            letters[-1] += letter
        else:
            letters.append(letter)
    return letters if len(letters) <= TALLEST else [*letters[: TALLEST - 1], "…"]
