"""May a run be resumed with this recipe? Only with the one it was begun with, but for keys that change no number.

``training.identity`` guards the same for what lies outside the recipe: data, versions, threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from clearhead.errors import RunError
from clearhead.recipes.schema import Recipe
from clearhead.training.identity import FREE

# The data itself is compared by its contents, so it may have moved.
MAY_CHANGE = {f"training.{name}" for name in FREE} | {"data.folder"}


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
            "resume with the run's own recipe (clearhead train RUN --resume), or train anew into another folder"
        )


def _flat(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every key with its tables in front; None is the same as not given."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        elif value is not None:
            yield prefix + name, value
