"""What a run wrote down while it trained, as series to draw: losses, rates and scores against the number of updates."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_POINTS = 2000
FROM_PROGRESS = ("loss", "nll", "learning_rate", "gradient_norm", "tokens_per_second")
FROM_VALIDATION = ("loss", "perplexity")


@dataclass(frozen=True)
class Series:
    """Values against updates; a value that was no finite number is None."""

    name: str
    updates: list[int] = field(default_factory=list)
    values: list[float | None] = field(default_factory=list)


def history(metrics: Path) -> list[Series]:
    """The series in a run's ``metrics.jsonl``, none where there is no such file. A last, unfinished line is left out.

    ``training.*`` are means since the event before, ``validation.*`` and ``score.*`` are of held-out data.
    """
    found: defaultdict[str, list[tuple[int, Any]]] = defaultdict(list)
    if metrics.is_file():
        for line in metrics.read_text(encoding="utf-8").split("\n"):
            _read(line, found)
    return [_series(name, points) for name, points in found.items()]


def _read(line: str, found: defaultdict[str, list[tuple[int, Any]]]) -> None:
    try:
        event = json.loads(line)
    except ValueError:
        return
    if not isinstance(event, dict) or not isinstance(event.get("update"), int):
        return
    update = event["update"]
    if event.get("event") == "progressed":
        for name in FROM_PROGRESS:
            found[f"training.{name}"].append((update, event.get(name)))
    if event.get("event") == "validated":
        for name in FROM_VALIDATION:
            found[f"validation.{name}"].append((update, event.get(name)))
        for name, value in (event.get("scores") or {}).items():
            found[f"score.{name}"].append((update, value))


def _series(name: str, points: list[tuple[int, Any]]) -> Series:
    """Every n-th point where there are too many, the last one always."""
    step = -(-len(points) // MOST_POINTS)
    kept = points if step <= 1 else [*points[:-1:step], points[-1]]
    return Series(name, [update for update, _ in kept], [_finite(value) for _, value in kept])


def _finite(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
