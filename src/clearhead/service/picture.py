"""A look as a picture: one large map of the chosen attention, and beside it a small one for every head.

Needs matplotlib (the extra ``pictures``). Nothing here touches matplotlib's global state, so a notebook keeps its own.
"""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

from clearhead.errors import ConfigurationError, need
from clearhead.service.look import Look, Map

# Tried in turn for each character; matplotlib always brings the first.
FONTS = ("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans Devanagari", "Arial Unicode MS")
CELL = 0.3
DOTS = 300  # an inch, as print wants them
PIXELS = 50_000_000  # of a picture; drawing it takes some 15 bytes for each
TITLE = 90  # characters of a line of the title
COLOURS = "Blues"


def draw(look: Look, path: Path, *, layer: int | None = None, head: int | None = None, form: str = "png") -> int:
    """Write a picture to ``path``, "png" or "svg". With a layer and a head, that map alone; else the mean and all
    heads.

    Returns how many different characters no font of this machine has; they are drawn as boxes.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigurationError: no such layer or head, or the file cannot be written.
    """
    need("matplotlib", "pictures")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    name, chosen = look.choose(layer, head)
    small = [] if head is not None else [maps for index, maps in enumerate(look.layers) if layer in (None, index)]
    rows, columns = max(chosen.shape[0], 8) * CELL, max(chosen.shape[1], 8) * CELL
    side = 0.0 if not small else max(4.5, rows * 0.9)
    with rc_context({"font.family": fonts()}):
        figure = Figure(figsize=(columns + side + 2.2, rows + 3.0), layout="constrained")
        figure.suptitle(_title(look), fontsize=12)
        parts: Any = figure.subfigures(1, 2, width_ratios=[columns + 1.6, side]) if small else [figure]
        _large(parts[0], look, name, chosen)
        if small:
            _heads(parts[1], small, first=layer or 0)
        return saved(figure, path, form)


def saved(figure: Any, path: Path, form: str) -> int:
    """Write a figure, the same bytes for the same figure; returns how many characters no font here has.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    from matplotlib import rc_context

    undated = {"Date": None} if form == "svg" else {}
    with warnings.catch_warnings(record=True) as said, rc_context({"svg.hashsalt": "clearhead"}):
        warnings.simplefilter("always")
        try:
            figure.savefig(path, dpi=dots(*figure.get_size_inches()), format=form, facecolor="white", metadata=undated)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None
    return len({str(each.message) for each in said if "Glyph" in str(each.message)})


def dots(width: float, height: float) -> float:
    """How many dots an inch a picture of so many inches has: ``DOTS``, fewer where it would outgrow the memory."""
    return min(DOTS, math.sqrt(PIXELS / (width * height)))


def fonts() -> list[str]:
    """Those of ``FONTS`` that this machine has."""
    from matplotlib.font_manager import fontManager

    return [name for name in FONTS if name in set(fontManager.get_font_names())]


def _large(part: Any, look: Look, name: str, chosen: Map) -> None:
    axes = part.subplots()
    image = axes.imshow(chosen, cmap=COLOURS, vmin=0.0, vmax=1.0, aspect="equal")
    source, target = ([plain(label) for label in labels] for labels in look.labels())
    axes.set_xticks(range(len(source)), source, rotation=60, ha="left", rotation_mode="anchor")
    axes.set_yticks(range(len(target)), target)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=10)
    written = look.names[0].endswith("cross")
    axes.set_xlabel("read" if written else "looked at", labelpad=8)
    axes.set_ylabel("written" if written else "looking", labelpad=8)
    axes.set_title(name, fontsize=11, pad=14, fontweight="bold")
    _grid(axes, chosen)
    part.colorbar(image, ax=axes, shrink=0.6, label="attention weight", pad=0.02)


def _heads(part: Any, layers: list[Map], *, first: int) -> None:
    heads = max(len(maps) for maps in layers)
    grid = part.subplots(len(layers), heads, squeeze=False)
    for row, maps in enumerate(layers):
        for column, axes in enumerate(grid[row]):
            if column >= len(maps):
                axes.axis("off")
                continue
            axes.imshow(maps[column], cmap=COLOURS, vmin=0.0, vmax=1.0, aspect="auto")
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(f"head {column}", fontsize=9)
            if column == 0:
                axes.set_ylabel(f"layer {first + row}", fontsize=9)


def _grid(axes: Any, chosen: Map) -> None:
    """Thin white lines between the cells."""
    for edge in axes.spines.values():
        edge.set_visible(False)
    axes.set_xticks([place - 0.5 for place in range(1, chosen.shape[1])], minor=True)
    axes.set_yticks([place - 0.5 for place in range(1, chosen.shape[0])], minor=True)
    axes.grid(which="minor", color="white", linewidth=0.8)
    axes.tick_params(which="minor", length=0)


def plain(text: str) -> str:
    """``text`` as matplotlib shows it unchanged: a dollar sign would begin mathematics."""
    return text.replace("$", r"\$")


def _title(look: Look) -> str:
    """What was read and what was written, each cut to one line."""
    return plain("\n".join(shortened(text) for text in (look.text, look.answer)))


def shortened(text: str) -> str:
    """``text`` in one line of at most ``TITLE`` characters, cut between words where that leaves half of the line."""
    line = " ".join(text.split())
    if len(line) <= TITLE:
        return line
    kept = line[: TITLE - 1].rstrip()
    words = line[: TITLE - 1].rpartition(" ")[0].rstrip()  # none in a script that does not part words
    return f"{words} …" if len(words) >= TITLE // 2 else f"{kept}…"
