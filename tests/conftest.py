"""What every test stands on: few threads (tests are small and run beside each other) and the same random state.

``date_reader`` is a folder as ``make demo`` leaves it, with ``runs/demo`` and ``runs/demo-corpus``, but hardly trained;
``every_kind`` are runs of every kind of model, by task, hardly trained either.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

SRC = Path(__file__).parents[1] / "src"
HARDLY = [
    "--set=training.updates=20",
    "--set=training.warmup=10",
    "--set=training.validate_every=20",
    "--set=model.width=32",
]

torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the processes that tests start
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SRC), os.environ.get("PYTHONPATH")]))


@pytest.fixture(autouse=True)
def same_random_state() -> None:
    """Each test starts from one state, so that it means the same alone and among others."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def date_reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the demo's corpus and a run of a few updates: real files, useless answers. Copy it to change it."""
    from clearhead.recipes.demo import write_demo

    home = tmp_path_factory.mktemp("date-reader")
    recipe = write_demo(home / "runs" / "demo-corpus", seed=1)
    for split in ("valid.tsv", "test.tsv"):
        table = recipe.with_name(split)
        table.write_text("\n".join(table.read_text(encoding="utf-8").split("\n")[:41]) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "clearhead", "train", str(recipe), "--out", str(home / "runs" / "demo"), *HARDLY]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture(scope="session")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run folder for every task; not to be changed."""
    from .service.kinds import train_kinds

    return train_kinds(tmp_path_factory.mktemp("kinds"))
