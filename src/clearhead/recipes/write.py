"""From a ``Recipe`` to TOML text that ``read_recipe`` turns back into an equal one.

Only what a recipe can hold is written: strings, numbers, booleans, lists and tables. ``None`` is left out, as TOML
has no word for it and every optional key has it as its default.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from clearhead.recipes.schema import Recipe

BARE = re.compile("[A-Za-z0-9_-]+")


def recipe_to_toml(recipe: Recipe) -> str:
    """The resolved recipe, every key written out, defaults included."""
    return to_toml(recipe.as_table())


def to_toml(table: Mapping[str, Any]) -> str:
    """TOML text of nested mappings of scalars and lists."""
    return "\n".join(_lines(table, "")).strip() + "\n"


def _lines(table: Mapping[str, Any], prefix: str) -> Iterator[str]:
    inner = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    for name, value in table.items():
        if name not in inner and value is not None:
            yield f"{_key(name)} = {_value(value)}"
    for name, value in inner.items():
        yield f"\n[{prefix}{_key(name)}]"
        yield from _lines(value, f"{prefix}{_key(name)}.")


def _key(name: str) -> str:
    """A key as it is where TOML takes it bare, else as a string."""
    return name if BARE.fullmatch(name) else _value(name)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # JSON's escapes are TOML's, but for DEL, which TOML wants escaped.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007F")
    if isinstance(value, (int, float)):
        return repr(value)
    return "[" + ", ".join(_value(item) for item in value) + "]"
