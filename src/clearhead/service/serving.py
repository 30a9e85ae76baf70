"""The runs that are served side by side: opened, named by their folders, refused when two would have one name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from clearhead.errors import ConfigurationError
from clearhead.service.load import load
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks.task import Predictor

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, eq=False)
class Served:
    """A model under the name by which it is asked for; ``run`` is the folder it came from.

    ``seeded``: its recipe names a seed, so that what it draws is the same each time.
    """

    name: str
    task: str
    predictor: Predictor
    run: Path
    seeded: bool


def open_runs(paths: Sequence[Path], device: str | None = None) -> list[Served]:
    """Load every run. A run is called as its folder, or ``NAME=FOLDER`` gives it another name.

    Raises:
        ConfigurationError: a name is no name for an address, or two runs have one.
        RunError: a folder is no finished run.
    """
    named = [_named(path) for path in paths]
    for name, path in named:
        if not NAME.fullmatch(name):
            raise ConfigurationError(
                f"{path}: a model's name stands in an address: letters, digits, '.', '_' and '-', but it is "
                f"{name!r}; name it yourself: NAME={path}"
            )
        if [each for each, _ in named].count(name) > 1:
            raise ConfigurationError(f"two runs are called {name!r}; name one of them yourself: NAME={path}")
    return [_served(name, path, device) for name, path in named]


def _served(name: str, path: Path, device: str | None) -> Served:
    run = RunFolder.open(path)
    decoding = run.recipe().model_dump().get("decoding") or {}
    return Served(name, run.card().task, load(path, device), path, decoding.get("seed") is not None)


def _named(path: Path) -> tuple[str, Path]:
    name, equals, folder = str(path).partition("=")
    if equals and not path.exists():
        return name, Path(folder)
    return path.resolve().name, path
