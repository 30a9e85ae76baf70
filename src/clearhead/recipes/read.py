"""From a recipe file and ``--set key=value`` overrides to one checked ``Recipe``, or one sentence saying what is wrong.

It reads TOML and nothing else, opens no data file, and refuses to guess: whatever the schema does not know is an error.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from clearhead.errors import ConfigurationError, nearest
from clearhead.recipes.schema import Recipe
from clearhead.recipes.sentences import explain, shown
from clearhead.recipes.table import IMPORTED, RECIPES

MAX_BYTES = 1 << 20

Table = dict[str, Any]


def read_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read the recipe at ``path`` and apply ``overrides`` such as ``training.updates=500``, in order.

    ``data.folder`` comes out absolute. Written in the file it is relative to the file; given as an override it is
    relative to the current folder, as every path on a command line is. So is ``model.from``; what the model that it
    names decides is not filled in here.

    Raises:
        ConfigurationError: the file is missing, is no TOML, or says something the schema does not know.
    """
    path = Path(path)
    table = _load(path)
    _anchor(table, path.parent)
    for override in overrides:
        _override(table, override)
    return parse_recipe(table, where=str(path) if not overrides else f"{path} with --set")


def parse_recipe(table: Table, where: str) -> Recipe:
    """Check a table already read, by the schema of its task; ``where`` opens the sentence of an error."""
    schema = _schema(table, where)
    try:
        return schema.model_validate(table)
    except ValidationError as error:
        raise ConfigurationError(explain(error, schema, where)) from None


def _schema(table: Table, where: str) -> type[Recipe]:
    known, task = ", ".join(f'"{name}"' for name in RECIPES), table.get("task")
    if task is None:
        raise ConfigurationError(f"{where}: the key task is missing; expected one of {known}")
    schemas = RECIPES | IMPORTED
    if not isinstance(task, str) or task not in schemas:
        hint = nearest(task, RECIPES) if isinstance(task, str) else ""
        raise ConfigurationError(f"{where}: task: expected one of {known}, got {shown(task)}{hint}")
    return schemas[task]


def _load(path: Path) -> Table:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigurationError(f"{path}: there is no such recipe file") from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read as a recipe: {error.strerror or error}") from None
    if len(raw) > MAX_BYTES:
        raise ConfigurationError(f"{path}: expected a recipe of at most {MAX_BYTES} bytes, but the file is larger")
    try:
        return tomllib.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: expected UTF-8 text, but byte {error.start} is not valid UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: this is not valid TOML: {error}") from None


def _anchor(table: Table, folder: Path) -> None:
    """Make ``data.folder`` and ``model.from`` absolute, seen from ``folder``; a wrong type is left for the schema."""
    data, model = table.setdefault("data", {}), table.get("model")
    if isinstance(data, dict) and isinstance(data.get("folder", "."), str):
        data["folder"] = str((folder / data.get("folder", ".")).resolve())
    if isinstance(model, dict) and isinstance(model.get("from"), str):
        model["from"] = str((folder / model["from"]).resolve())


def _override(table: Table, override: str) -> None:
    key, equals, text = override.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise ConfigurationError(f"--set {override}: expected key=value, such as training.updates=500")
    *tables, last = names
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigurationError(f"--set {override}: {name} holds a value, not a table of settings")
    table[last] = _value(text.strip())
    if names in (["data", "folder"], ["model", "from"]):
        _anchor({names[0]: table}, Path.cwd())


def _value(text: str) -> Any:
    """A TOML value where it is one, a string otherwise: ``500``, ``true``, ``[1, 2]``, ``"x"``, bare ``cosine``."""
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text
