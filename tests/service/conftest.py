"""One toy run for all tests of this folder; a test that changes files copies it first."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clearhead.service.train import train

from .toy import write_toy


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of the toy job."""
    return write_toy(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="session")
def finished(toy: Path) -> Path:
    """A finished run of the toy; not to be changed."""
    out = toy.parent / "run"
    for _ in train(toy, out):
        pass
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "run"))
