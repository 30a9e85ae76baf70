"""Real processes, really killed: SIGKILL at seeded random moments, half of them inside a save, and polite signals."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from clearhead.training import checkpoint
from clearhead.training.durable import digest_of
from clearhead.training.metrics import read_metrics

from . import toys

SOURCE = Path(__file__).parents[2] / "src"


def script(*arguments: object) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).with_name("killing.py")), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def end_of(out: Path) -> dict[str, Any]:
    """All that is left of a run, without the clock: history, kept weights, last checkpoint."""
    found = checkpoint.newest(out / "checkpoints")
    assert found.path is not None
    assert found.passed_over == ()
    state = json.loads((found.path / "state.json").read_text())
    del state["course"]["seconds"], state["course"]["window"]["seconds"]
    files, beside = checkpoint.verify(found.path)
    return {
        "history": toys.untimed(read_metrics(out / "metrics.jsonl")),
        "weights": digest_of(out / "model.safetensors"),
        "files": {name: digest for name, digest in files.items() if name != "state.json"},
        "beside": beside,
        "state": state,
        "folder": sorted(path.name for path in (out / "checkpoints").rglob("*")),
    }


def survives(folder: Path, kills: int, seed: int) -> None:
    report = script("kill", folder, kills, seed)
    assert (report["unbroken"], report["last"]) == (0, 0)
    assert report["killed"] >= kills * 0.8, "a run that was over before it could be killed proves nothing"
    assert report["inside_a_save"] >= kills / 3
    expected, found = end_of(folder / "unbroken"), end_of(folder / "killed")
    assert len([line for line in expected["history"] if line["event"] == "progressed"]) == 48
    for part in expected:
        assert found[part] == expected[part], part


def test_a_run_killed_ten_times_ends_as_if_never_killed(tmp_path: Path) -> None:
    survives(tmp_path, 10, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 12))
def test_a_hundred_kills(tmp_path: Path, seed: int) -> None:
    survives(tmp_path, 10, seed)


@pytest.fixture(scope="module")
def stops(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("stops")
    return folder, script("stop", folder)


@pytest.mark.parametrize(
    ("phase", "status"),
    [("amid_updates", 143), ("by_hand", 130), ("in_validation", 143), ("after_a_save", 143), ("at_once", 143)],
)
def test_a_signal_leaves_a_complete_checkpoint_of_the_last_update(
    stops: tuple[Path, dict[str, Any]], phase: str, status: int
) -> None:
    folder, report = stops
    assert report[phase] == status
    last = read_metrics(folder / phase / "metrics.jsonl")[-1]["update"]
    found = checkpoint.newest(folder / phase / "checkpoints")
    assert found.passed_over == ()
    assert found.path == folder / phase / "checkpoints" / checkpoint.name_of(last)
    assert 0 < last < 48
    assert not list((folder / phase / "checkpoints").rglob(".*"))


def test_a_second_signal_ends_the_process_at_once(stops: tuple[Path, dict[str, Any]]) -> None:
    """It sits in a validation of a minute and has seen one SIGTERM; SIGINT is now the system's business."""
    status, seconds = stops[1]["twice"]
    assert status == -2
    assert seconds < 5
