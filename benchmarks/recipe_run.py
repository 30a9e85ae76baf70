"""Trains a recipe of this project from scratch through the command line, and gives its report for publication."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from duel import machine

RECIPES = Path(__file__).parents[1] / "recipes"


def arguments_of(description: str | None, data: str) -> argparse.Namespace:
    """--data (a folder with ``data``), --out (a run folder to make), --set key=value."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help=f"folder with {data}")
    parser.add_argument("--out", type=Path, required=True, help="run folder to make")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    return parser.parse_args()


def trained(recipe: str, data: Path, out: Path, settings: Sequence[str]) -> dict[str, Any]:
    """Run ``clearhead train`` to its end; its report, and the seconds of the whole command."""
    chosen = [part for setting in (f"data.folder={data.resolve()}", *settings) for part in ("--set", setting)]
    command = [sys.executable, "-m", "clearhead", "train", str(RECIPES / recipe), "--out", str(out), *chosen]
    start = time.perf_counter()
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - start
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    told = {"recipe": recipe, "settings": list(settings), "whole_command_seconds": round(seconds, 1)}
    return {**told, "instructions": machine()["instructions"], **report}
