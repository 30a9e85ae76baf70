"""What a model confuses with what, as a picture: rows are the labels that were wanted, columns those that were given.

Needs matplotlib (the extra ``pictures``). Nothing here touches matplotlib's global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clearhead.errors import ConfigurationError, need
from clearhead.service.events import Scored
from clearhead.service.picture import fonts, plain

CELL, MARGIN = 0.28, 3.2  # inches
NUMBERS = 40  # labels up to which every cell has its number


def confusion_matrix(scored: Scored) -> tuple[list[str], NDArray[np.int64]]:
    """The labels, and (C, C) how often each was wanted (row) and given (column); right answers are the diagonal.

    Where a text has any number of labels, a missing one is counted beside each that was wrongly given instead.

    Raises:
        ConfigurationError: the scores are not those of labels.
    """
    labels: Mapping[str, Mapping[str, float]] | None = scored.tables.get("labels")
    if labels is None or "confusions" not in scored.tables:
        raise ConfigurationError("a picture of what is confused is about classification, which this run is not")
    mistakes: Sequence[tuple[str, str, int]] = scored.tables["confusions"]
    names = list(dict.fromkeys([*labels, *(name for row in mistakes for name in row[:2])]))
    places = {name: place for place, name in enumerate(names)}
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    for name, row in labels.items():
        counts[places[name], places[name]] = round(row["recall"] * row["support"] / 100)
    for wanted, given, count in mistakes:
        counts[places[wanted], places[given]] += count
    return names, counts


def draw_confusion(scored: Scored, path: Path) -> None:
    """Write the matrix as a PNG to ``path``; each row's shade is its share, so that rare labels show, too.

    Raises:
        MissingExtraError: matplotlib is not installed.
        ConfigurationError: there is no matrix, or the file cannot be written.
    """
    need("matplotlib", "pictures")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    names, counts = confusion_matrix(scored)
    side = max(len(names) * CELL, 2.0)
    with rc_context({"font.family": fonts()}):
        figure = Figure(figsize=(side + MARGIN, side + MARGIN), layout="constrained")
        axes = figure.subplots()
        axes.imshow(counts / np.maximum(counts.sum(1, keepdims=True), 1), cmap="Blues", vmin=0.0, vmax=1.0)
        shown = [plain(name) for name in names]
        axes.set_xticks(range(len(names)), shown, rotation=60, ha="left", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), shown)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelsize=8)
        axes.set_xlabel("given")
        axes.set_ylabel("wanted")
        axes.set_title(plain(f"{scored.split}: {scored.count} {scored.unit}"), fontsize=11, pad=12)
        if len(names) <= NUMBERS:
            _write_numbers(axes, counts)
        try:
            figure.savefig(path, dpi=120, format="png", facecolor="white")
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror or error}") from None


def _write_numbers(axes: Any, counts: NDArray[np.int64]) -> None:
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=7, color=colour)
