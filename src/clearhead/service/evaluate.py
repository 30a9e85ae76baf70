"""Scores a finished run on its own held-out data, or on files given by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clearhead.data.settings import PairFiles
from clearhead.errors import ConfigurationError, DataError
from clearhead.recipes.schema import Recipe
from clearhead.recipes.sentences import explain
from clearhead.service.events import Scored
from clearhead.service.held_out import HeldOut, read_held_out, score
from clearhead.service.load import load
from clearhead.service.run_folder import RunFolder
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
            "pairs": self.scored.pairs,
            "loss": plain(self.scored.loss),
            "scores": plain(self.scored.scores),
            **plain(self.scored.details),
            "seconds": round(self.scored.seconds, 3),
        }


def evaluate_run(
    path: str | Path,
    data: Sequence[Path] = (),
    decoding: Mapping[str, Any] | None = None,
    *,
    tokenize: str = "13a",
) -> Evaluation:
    """Score the run in ``path`` on ``data``: one table with the recipe's columns, or source and target lines.

    Without ``data``, on the recipe's test set, or its validation set where there is no test set. ``decoding``
    overrides the recipe's; ``tokenize`` is sacreBLEU's tokenizer for BLEU, such as "zh".

    Raises:
        DataError: a file is gone or broken.
        RunError: the folder is no finished run.
        ConfigurationError: neither ``data`` nor the recipe names held-out data.
    """
    recipe = RunFolder.open(path).recipe()
    held_out = _given(recipe, data) if data else _own(recipe)
    return Evaluation(held_out.name, score(load(path), held_out, decoding, tokenize=tokenize))


def _own(recipe: Recipe) -> HeldOut:
    name, files = ("test", recipe.data.test) if recipe.data.test else ("valid", recipe.data.valid)
    if files is None:
        raise ConfigurationError("the recipe names neither test nor validation data: say which with --data")
    lenient = recipe.data.bad_lines == "skip"
    try:
        return read_held_out(name, files, Path(recipe.data.folder), lenient=lenient)
    except DataError as error:
        raise DataError(f"{error} (the run's own {name} data; if it has moved, name it with --data)") from None


def _given(recipe: Recipe, data: Sequence[Path]) -> HeldOut:
    """Held-out data from the command line; a table has the columns of the recipe's, or "source" and "target"."""
    paths = [str(path.absolute()) for path in data]
    if len(paths) > 2:
        raise ConfigurationError(f"--data: expected one table, or source and target lines; got {len(paths)} files")
    try:
        files = _table(recipe, paths[0]) if len(paths) == 1 else PairFiles(source=paths[0], target=paths[1])
    except ValidationError as error:
        raise ConfigurationError(explain(error, PairFiles, "--data")) from None
    return read_held_out(" and ".join(map(str, data)), files, Path("/"))


def _table(recipe: Recipe, path: str) -> PairFiles:
    for files in (recipe.data.test, recipe.data.valid, recipe.data.train):
        if files is not None and files.file:
            return PairFiles(file=path, source=files.source, target=files.target, header=files.header)
    return PairFiles(file=path, source="source", target="target")
