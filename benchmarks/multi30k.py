"""Train recipes/multi30k-en-de.toml from scratch and record what it reached and how long it took.

    python benchmarks/multi30k.py --data FOLDER --out RUN [--set key=value]…

FOLDER holds the Multi30k files (the recipe says where to get them). The run's report goes to benchmarks/results/, with
the scores of validation and test by beam search, both BLEU measures, seconds of training, seed and machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from duel import machine, write_json

RECIPE = Path(__file__).parents[1] / "recipes" / "multi30k-en-de.toml"


def train(data: Path, out: Path, settings: list[str]) -> float:
    """Run ``clearhead train`` to its end; seconds of the whole command, preparation and scoring included."""
    chosen = [part for setting in (f"data.folder={data.resolve()}", *settings) for part in ("--set", setting)]
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "clearhead", "train", str(RECIPE), "--out", str(out), *chosen], check=True)
    return time.perf_counter() - start


def without_folders(report: dict[str, Any]) -> dict[str, Any]:
    """The report with files named but not located: where somebody keeps them is nobody's business."""
    data = dict(report["data"])
    data["files"] = {Path(path).name: digest for path, digest in data["files"].items()}
    return {**report, "data": data}


def main() -> None:
    """Train, then write benchmarks/results/multi30k-en-de.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the Multi30k files")
    parser.add_argument("--out", type=Path, required=True, help="run folder to make")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    seconds = train(arguments.data, arguments.out, arguments.settings)
    report = without_folders(json.loads((arguments.out / "report.json").read_text(encoding="utf-8")))
    whole = {"whole_command_seconds": round(seconds, 1), "instructions": machine()["instructions"], **report}
    write_json("multi30k-en-de", whole)


if __name__ == "__main__":
    main()
