"""Scores a finished run on its own held-out data, or on files given by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clearhead.errors import ConfigurationError, DataError
from clearhead.recipes.schema import Recipe
from clearhead.service.events import Scored
from clearhead.service.load import load
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks.table import TASKS
from clearhead.service.tasks.task import HeldOut, Task
from clearhead.training.events import plain


@dataclass(frozen=True)
class Evaluation:
    """What was scored, and how it did."""

    name: str
    scored: Scored

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "data": self.name,
            self.scored.unit: self.scored.count,
            "loss": plain(self.scored.loss),
            "scores": plain(self.scored.scores),
            **plain(self.scored.details),
            **plain(self.scored.tables),
            "seconds": round(self.scored.seconds, 3),
        }


def evaluate_run(path: str | Path, data: Sequence[Path] = (), options: Mapping[str, Any] | None = None) -> Evaluation:
    """Score the run in ``path`` on ``data``, files of the kind the recipe names.

    Without ``data``, on the recipe's test set, or its validation set where there is no test set. ``options`` override
    the recipe's way of answering, such as ``beam``; for a translation, "tokenize" names sacreBLEU's tokenizer.

    Raises:
        DataError: a file is gone or broken.
        RunError: the folder is no finished run.
        ConfigurationError: neither ``data`` nor the recipe names held-out data, or an option is wrong.
    """
    task = TASKS[RunFolder.open(path).recipe().task]
    held_out = held_out_of(path, data)
    return Evaluation(held_out.name, task.score(load(path), held_out, options or {}))


def held_out_of(path: str | Path, data: Sequence[Path] = (), splits: Sequence[str] = ("test", "valid")) -> HeldOut:
    """What the run in ``path`` is to be tried on: ``data``, or the first of its recipe's ``splits`` that there is.

    Raises:
        DataError: a file is gone or broken.
        ConfigurationError: neither ``data`` nor the recipe names held-out data.
    """
    recipe = RunFolder.open(path).recipe()
    task = TASKS[recipe.task]
    if data:
        given: HeldOut = task.given(recipe, data)
        return given
    return _own(recipe, task, splits)


def _own(recipe: Recipe, task: Task[Any, Any, Any], splits: Sequence[str]) -> HeldOut:
    for split in splits:
        try:
            found: HeldOut | None = task.read(recipe, split)
        except DataError as error:
            raise DataError(f"{error} (the run's own {split} data; if it has moved, name it with --data)") from None
        if found is not None:
            return found
    raise ConfigurationError("the recipe names neither test nor validation data: say which with --data")
