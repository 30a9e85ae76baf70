"""What pydantic found wrong, said in one sentence: which file, which key, what was expected, what came.

Used for recipes, for ``--set``, for decoding options and for the configuration in a run folder. It knows nothing of
what the keys mean; it reads names and bounds from the settings classes.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterator, Mapping
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from clearhead.errors import nearest

_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "a string",
    "finite_number": "a finite number",
    "model_type": "a table of settings",
    "dict_type": "a table",
    "list_type": "a list",
    "tuple_type": "a list",
    "greater_than_equal": "a number ≥ {ge}",
    "greater_than": "a number > {gt}",
    "less_than_equal": "a number ≤ {le}",
    "less_than": "a number < {lt}",
    "literal_error": "one of {expected}",
    "string_too_short": "a string of at least {min_length} characters",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
}
_NAMES = re.compile("'([^']*)'")  # in pydantic's list of what a literal may be


def explain(error: ValidationError, settings: type[BaseModel], where: str) -> str:
    """One sentence for all of ``error``: the first fault in full, the rest counted and named.

    ``where`` is the file or the thing being read, and opens the sentence.
    """
    faults = _without_repeats(error.errors(include_url=False))
    first = f"{where}: {_sentence(faults[0], settings)}"
    if len(faults) == 1:
        return first
    rest = ", ".join(_key(fault) for fault in faults[1:6])
    more = "" if len(faults) <= 6 else ", …"
    return f"{first}; and {len(faults) - 1} more: {rest}{more}"


def all_keys(settings: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every dotted key that ``settings`` knows, tables included."""
    for name, field in settings.model_fields.items():
        name = field.alias or name
        yield prefix + name
        inner = _settings_in(field.annotation)
        if inner is not None:
            yield from all_keys(inner, f"{prefix}{name}.")


def _without_repeats(faults: list[ErrorDetails]) -> list[ErrorDetails]:
    """One fault a key: a union reports every alternative it tried."""
    seen: dict[str, ErrorDetails] = {}
    for fault in faults:
        seen.setdefault(_key(fault), fault)
    return list(seen.values())


def _key(fault: ErrorDetails) -> str:
    return ".".join(str(part) for part in fault["loc"])


def _sentence(fault: ErrorDetails, settings: type[BaseModel]) -> str:
    key = _key(fault)
    kind = fault["type"]
    if kind == "extra_forbidden":
        return f"unknown key {key}{_nearest_key(fault, settings)}"
    if kind == "missing":
        return f"the key {key} is missing"
    if kind in ("value_error", "assertion_error"):
        said = fault["msg"].split(", ", 1)[-1]
        return f"{key}: {said}" if key else said
    if kind in _EXPECTED:
        expected = _EXPECTED[kind].format_map(fault.get("ctx", {}))
        close = nearest(str(fault["input"]), _NAMES.findall(expected)) if kind == "literal_error" else ""
        return f"{key}: expected {expected}, got {shown(fault['input'])}{close}"
    return f"{key}: {fault['msg'][0].lower()}{fault['msg'][1:]}, got {shown(fault['input'])}"


def shown(value: object) -> str:
    """The offending value as the author wrote it, cut to a readable length."""
    if isinstance(value, Mapping):
        return "a table"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "…"


def _nearest_key(fault: ErrorDetails, settings: type[BaseModel]) -> str:
    """Where a key of this very name does live; else the nearest name in the same table, else anywhere."""
    *path, name = (str(part) for part in fault["loc"])
    elsewhere = [key for key in all_keys(settings) if key.rpartition(".")[2] == name]
    if elsewhere:
        return f" (did you mean {elsewhere[0]!r}?)"
    table = _table_at(settings, path)
    return (nearest(name, table.model_fields) if table is not None else "") or nearest(name, all_keys(settings))


def _table_at(settings: type[BaseModel], path: list[str]) -> type[BaseModel] | None:
    table: type[BaseModel] | None = settings
    for name in path:
        field = table.model_fields.get(name) if table is not None else None
        table = _settings_in(field.annotation) if field is not None else None
    return table


def _settings_in(annotation: Any) -> type[BaseModel] | None:
    """The settings class in an annotation, through ``X | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType):
        return next((found for part in get_args(annotation) if (found := _settings_in(part)) is not None), None)
    return None
