"""An alignment as a picture fit for print: source words above, target words below, a line for each link.

A line is the darker and the wider, the more of the target word's attention goes to the source word; links are drawn in
full, other words looked at faintly. Needs matplotlib (the extra ``pictures``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from clearhead.errors import need
from clearhead.service.alignments import Aligned
from clearhead.service.picture import fonts, plain, saved

CHARACTER, GAP, HEIGHT = 0.105, 0.22, 1.5  # inches
FAINT = 0.08  # attention below this draws no line
INK = "#08306b"


def draw_alignment(aligned: Aligned, path: Path, *, form: str = "png") -> int:
    """Write the picture to ``path`` as "png" or "svg"; returns how many characters no font of this machine has.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigurationError: the file cannot be written.
    """
    need("matplotlib", "pictures")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    above, below = _places(aligned.source), _places(aligned.target)
    width = max(above[-1][1] if above else 1.0, below[-1][1] if below else 1.0, 2.0)
    with rc_context({"font.family": fonts()}):
        figure = Figure(figsize=(width + 0.4, HEIGHT + 0.8))
        axes = figure.add_axes((0.2 / (width + 0.4), 0.0, width / (width + 0.4), 1.0))
        axes.set_xlim(0, width)
        axes.set_ylim(-0.4, HEIGHT + 0.4)
        axes.axis("off")
        shifts = [(width - (row[-1][1] if row else 0.0)) / 2 for row in (above, below)]
        _write(axes, aligned.source, above, shifts[0], HEIGHT, "bottom")
        _write(axes, aligned.target, below, shifts[1], 0.0, "top")
        for t, (left, right) in enumerate(below):
            for s, (start, end) in enumerate(above):
                weight = float(aligned.weights[t, s]) if t < len(aligned.weights) else 0.0
                linked = (s, t) in aligned.links
                if linked or weight >= FAINT:
                    ends = [(start + end) / 2 + shifts[0], (left + right) / 2 + shifts[1]]
                    _line(axes, ends, max(weight, 0.25) if linked else weight, linked)
        return saved(figure, path, form)


def _places(words: tuple[str, ...]) -> list[tuple[float, float]]:
    """From where to where each word stands, in inches."""
    places, at = [], 0.0
    for word in words:
        size = max(1, len(word)) * CHARACTER
        places.append((at, at + size))
        at += size + GAP
    return places


def _write(
    axes: Any, words: tuple[str, ...], places: list[tuple[float, float]], shift: float, y: float, side: str
) -> None:
    for word, (start, end) in zip(words, places, strict=True):
        axes.text(
            (start + end) / 2 + shift, y + (0.06 if side == "bottom" else -0.06), plain(word), ha="center", va=side
        )


def _line(axes: Any, ends: list[float], weight: float, linked: bool) -> None:
    strength = min(1.0, weight)
    axes.plot(
        ends,
        [HEIGHT, 0.0],
        color=INK,
        alpha=0.35 + 0.65 * strength if linked else 0.35 * strength,
        linewidth=0.6 + 2.2 * strength if linked else 0.5 + strength,
        linestyle="-" if linked else (0, (1, 1.5)),
        solid_capstyle="round",
    )
