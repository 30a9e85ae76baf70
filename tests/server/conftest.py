"""One toy run for all tests of this folder, and a service of it with the limits a user has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("fastapi")

from clearhead.service.serving import Served, open_runs
from clearhead.service.train import train

from ..service.toy import write_toy
from .running import Service, running


@pytest.fixture(scope="session")
def toy_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the toy: digits to German words."""
    recipe = write_toy(tmp_path_factory.mktemp("served"))
    out = recipe.parent / "toy"
    for _ in train(recipe, out):
        pass
    return out


@pytest.fixture(scope="session")
def toy(toy_run: Path) -> Served:
    """The toy, loaded."""
    (served,) = open_runs([toy_run])
    return served


@pytest.fixture(scope="session")
def service(toy: Served) -> Iterator[Service]:
    """A service of the toy."""
    with running([toy]) as found:
        yield found
