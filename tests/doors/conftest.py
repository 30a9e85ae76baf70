"""One toy run for the doors, and two ways in: within this process, and as a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from clearhead.cli.main import app

from ..service.toy import write_toy

Clearhead = Callable[..., Result]
SRC = Path(__file__).parents[2] / "src"
QUIET = {"COLUMNS": "200", "TERM": "dumb", "NO_COLOR": "1"}


@pytest.fixture(scope="session")
def clearhead() -> Clearhead:
    """Run a command in this process: ``clearhead("predict", run, stdin="…")``."""

    def call(*words: object, stdin: str | bytes = "") -> Result:
        return CliRunner().invoke(app, [str(word) for word in words], input=stdin, env=QUIET)

    return call


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of the toy job."""
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def finished(toy: Path, clearhead: Clearhead) -> Path:
    """A run trained through the door; not to be changed."""
    out = toy.parent / "run"
    result = clearhead("train", toy, "--out", out)
    assert result.exit_code == 0, result.stderr
    return out


def start(*words: object, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    """``clearhead`` as a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(SRC), "OMP_NUM_THREADS": "1"} | QUIET
    command: Sequence[str] = [sys.executable, "-m", "clearhead", *map(str, words)]
    return subprocess.Popen(
        command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, cwd="/"
    )
