"""Draws what benchmarks/heads.py measured: every head's worth with its interval, and what pruning leaves.

python benchmarks/heads_picture.py --name multi30k --out docs/pictures/multi30k-heads.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from duel import RESULTS
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = {"encoder self": "#0072B2", "decoder self": "#E69F00", "decoder cross": "#009E73"}  # Okabe & Ito


def main() -> None:
    """Read the result, draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    found = json.loads((RESULTS / f"heads-{arguments.name}.json").read_text(encoding="utf-8"))
    figure = Figure(figsize=(9, 3.6), dpi=110, layout="constrained")
    worth, curve = figure.subplots(1, 2, width_ratios=(3, 2))
    draw_worths(worth, found["heads"])
    draw_curves(curve, found)
    figure.savefig(arguments.out)


def draw_worths(axes: Axes, heads: list[dict[str, Any]]) -> None:
    """Loss without each head, less that with it, the largest first."""
    ranked = sorted(heads, key=lambda head: -head["loss"]["value"])
    for kind, colour in COLOURS.items():
        stack, which = kind.split()
        chosen = [
            (place, head["loss"])
            for place, head in enumerate(ranked, start=1)
            if head["name"].startswith(stack) and head["name"].endswith(which)
        ]
        places, values = [place for place, _ in chosen], [loss["value"] for _, loss in chosen]
        below = [loss["value"] - loss["low"] for _, loss in chosen]
        above = [loss["high"] - loss["value"] for _, loss in chosen]
        axes.errorbar(places, values, yerr=(below, above), fmt="o", ms=3.5, lw=1, color=colour, label=kind)
    axes.axhline(0, color="0.6", lw=0.8)
    axes.set_xlabel("heads, the most important first")
    axes.set_ylabel("loss without it, difference (nats)")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def draw_curves(axes: Axes, found: dict[str, Any]) -> None:
    """BLEU against the number of heads that are gone."""
    intact = found["intact"]["greedy_bleu"]["value"]
    curve = [(0, intact), *((step["removed"], step["greedy_bleu"]) for step in found["pruning_by_worth"])]
    axes.plot(*zip(*curve, strict=True), color="#000000", label="the least important first")
    for number, order in enumerate(found["pruning_by_chance"]):
        points = [(0, intact), *((step["removed"], step["greedy_bleu"]) for step in order)]
        label = "by chance" if number == 0 else None
        axes.plot(*zip(*points, strict=True), color="0.6", ls="--", marker=".", lw=1, label=label)
    axes.set_xlabel(f"heads pruned, of {len(found['heads'])}")
    axes.set_ylabel("BLEU, greedy search")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
