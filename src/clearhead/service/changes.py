"""May a run go on with this recipe and these files? With those it was begun with, but for what changes no number.

``training.identity`` guards the same for what lies outside the recipe: versions, threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clearhead.data.prepare import sha256
from clearhead.errors import RunError
from clearhead.recipes.recording import RecordingSettings
from clearhead.recipes.schema import Recipe
from clearhead.training.identity import FREE

# The data itself is compared by its contents, and a model to start from lies in the run, so both may have moved.
MAY_CHANGE = {f"training.{name}" for name in FREE} | {f"recording.{name}" for name in RecordingSettings.model_fields}
MAY_CHANGE |= {"data.folder", "model.from"}
HINT = "or train anew into another folder; or go on all the same with --accept-changes"


def refuse_changes(begun: Recipe, now: Recipe) -> None:
    """Refuse to go on with ``now`` what was begun with ``begun``.

    Raises:
        RunError: they differ in something that decides the result; each difference is named.
    """
    before, after = dict(_flat(begun.as_table())), dict(_flat(now.as_table()))
    changed = [
        f"{key} was {before.get(key)!r} and is now {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key) and key not in MAY_CHANGE
    ]
    if changed:
        raise RunError(
            f"this run was begun with another recipe, so going on would not be exact: {'; '.join(changed)}; "
            f"resume with the run's own recipe (clearhead train RUN --resume), {HINT}"
        )


def refuse_other_files(begun: Mapping[str, str], now: Mapping[str, Path]) -> None:
    """Refuse data files whose contents are not those that the corpus in the run folder was made from.

    ``begun`` are the SHA-256 by name, ``now`` the files of those names; one that is gone is not missed.

    Raises:
        RunError: a file has changed; it is named.
    """
    for name, path in now.items():
        if path.is_file() and begun.get(name) != sha256(path):
            raise RunError(
                f"{path} is not the file this run was begun with: its contents have changed; put the old file "
                f"back, {HINT}"
            )


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its tables in front; None is the same as not given."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield prefix + name, value
