"""Teacher forcing and two-pass scheduled sampling on one task, several seeds each: what comes out, and what it costs.

    python benchmarks/scheduled_sampling.py [--updates 600] [--seeds 3] [--out FOLDER]

The task is the demo's: dates in many languages into ISO 8601. All runs of a seed share corpus, initial weights and
order of batches. Mihaylova & Martins (2019) call their results close to teacher forcing; nothing more is promised here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from duel import write_result

from clearhead.recipes.demo import write_demo
from clearhead.recipes.read import read_recipe
from clearhead.service.train import train

ARMS: dict[str, str | None] = {
    "teacher forcing": None,
    "constant": '{ schedule = "constant", truth = 0.75 }',
    "linear": '{ schedule = "linear", k = UPDATES, truth = 0.5 }',
    "exponential": '{ schedule = "exponential", k = DECAY, truth = 0.5 }',
    "inverse sigmoid": '{ schedule = "inverse_sigmoid", k = SIGMOID, truth = 0.5 }',
}


def settings_of(arm: str, updates: int) -> list[str]:
    """The overrides that make one arm; every schedule has its half way within the run."""
    text = ARMS[arm]
    if text is None:
        return []
    numbers = {"UPDATES": float(updates), "DECAY": 0.5 ** (3 / updates), "SIGMOID": updates / 12}
    for name, value in numbers.items():
        text = text.replace(name, repr(value))
    return [f"scheduled_sampling={text}"]


def one_run(folder: Path, arm: str, seed: int, updates: int) -> dict[str, float]:
    """Train one arm from one seed; test scores and seconds an update."""
    recipe = read_recipe(write_demo(folder / f"corpus-{seed}", seed=seed), common(updates) + settings_of(arm, updates))
    out = folder / f"{arm.replace(' ', '-')}-{seed}"
    for event in train(recipe, out):
        if event.kind == "validated":
            print(f"{arm}, seed {seed}: {event}"[:160])
    report = json.loads((out / "report.json").read_text(encoding="utf-8"))
    test, training = report["scores"]["test"], report["training"]
    return {
        "exact_match": test["exact_match"],
        "chrf": test["chrf"],
        "loss": test["loss"],
        "seconds_per_update": training["seconds"] / training["updates"],
    }


def common(updates: int) -> list[str]:
    """What all arms share: a shorter run than the demo's, so that there is something left to be better at."""
    warmup = max(1, updates // 16)
    return [f"training.updates={updates}", f"training.warmup={warmup}", f"training.validate_every={updates // 2}"]


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Mean and all values of each figure over the seeds."""
    return {name: {"mean": statistics.mean(values), "values": values} for name, values in _columns(runs).items()}


def _columns(runs: list[dict[str, float]]) -> dict[str, list[float]]:
    return {name: [round(run[name], 5) for run in runs] for name in runs[0]}


def main() -> None:
    """Run all arms seed by seed, so that a machine that slows down slows all alike."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=None, help="where the runs go; a temporary folder by default")
    arguments = parser.parse_args()
    folder = arguments.out or Path(tempfile.mkdtemp())
    runs: dict[str, list[dict[str, float]]] = {arm: [] for arm in ARMS}
    for seed in range(1, arguments.seeds + 1):
        for arm in ARMS:
            runs[arm].append(one_run(folder, arm, seed, arguments.updates))
    found = {arm: summary(each) for arm, each in runs.items()}
    base = found["teacher forcing"]["seconds_per_update"]["mean"]
    for each in found.values():
        each["cost_over_teacher_forcing"] = round(each["seconds_per_update"]["mean"] / base, 3)
    schedules = {arm: settings_of(arm, arguments.updates) for arm in ARMS if ARMS[arm]}
    what = {"task": "demo (dates)", "updates": arguments.updates, "schedules": schedules}
    write_result("scheduled-sampling", {**what, "arms": found})


if __name__ == "__main__":
    main()
