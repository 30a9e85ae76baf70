"""``heads.json``: what every head of a run is worth, kept in its folder for whoever shows it later.

It holds what ``HeadReport.as_dict`` says, the name of its unit, and the checksum of the weights that were weighed: of
other weights it says nothing, so it is not read after a run was trained on. Files may come from anywhere, so all that
is read is checked. Measures nothing.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from clearhead.errors import RunError
from clearhead.service.bootstrap import Interval
from clearhead.service.head_importance import HeadReport, HeadWorth, Step
from clearhead.service.looking.frames import finite
from clearhead.service.run_folder import RunFolder, write_text
from clearhead.strict_json import read_json

HEADS = "heads.json"
FORMAT = "clearhead-heads"


def write_heads(run: str | Path, report: HeadReport, weights_sha256: str | None) -> Path:
    """Keep ``report`` about the weights of that checksum in the folder of ``run``, whole or not at all.

    Raises:
        RunError: the disk refuses; what stood there before is intact.
    """
    path = Path(run) / HEADS
    about = {"format": FORMAT, "weights_sha256": weights_sha256, "unit": report.unit}
    write_text(path, json.dumps(finite(about | report.as_dict()), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    return path


def read_heads(run: str | Path) -> HeadReport | None:
    """What was kept about the weights that ``run`` has now; None where nothing was, or only about other weights.

    Heads come in the order of the file, the least important first. A number that JSON has no word for is NaN.

    Raises:
        RunError: the file is damaged; the message names it.
    """
    folder = RunFolder(Path(run))
    path = folder.path / HEADS
    if not path.is_file():
        return None
    table = read_json(path)
    if table.get("weights_sha256") != folder.card().weights_sha256:
        return None
    try:
        return _report(table)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} is damaged: expected what clearhead heads writes, got {error!r}") from None


def _report(table: dict[str, Any]) -> HeadReport:
    if table["format"] != FORMAT:
        raise ValueError(f"the format {table['format']!r}")
    return HeadReport(
        data=str(table["data"]),
        unit=str(table["unit"]),
        count=int(table[table["unit"]]),
        metric=str(table["metric"]),
        higher_is_better=bool(table["higher_is_better"]),
        replace=str(table["replace"]),
        samples=int(table["samples"]),
        confidence=float(table["confidence"]),
        intact=_interval(table["intact"]),
        heads=tuple(map(_head, table["heads"])),
        curve=tuple(map(_step, table["pruning"])),
    )


def _head(table: dict[str, Any]) -> HeadWorth:
    numbers = {name: _number(table[name]) for name in ("worth", "entropy", "distance", "peak")}
    slope = None if table["slope"] is None else float(table["slope"])
    score, difference = _number(table["score"]), _interval(table["difference"])
    return HeadWorth(str(table["name"]), int(table["head"]), score, difference, slope=slope, **numbers)


def _step(table: dict[str, Any]) -> Step:
    score, difference = _number(table["score"]), _interval(table["difference"])
    return Step(int(table["removed"]), str(table["name"]), int(table["head"]), score, difference)


def _interval(table: dict[str, Any]) -> Interval:
    return Interval(*(_number(table[name]) for name in ("value", "low", "high")))


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)
