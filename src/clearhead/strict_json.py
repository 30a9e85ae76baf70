"""JSON from a file or a client that is not trusted: bounded in size and depth, no key twice, only numbers that are
numbers and characters that are characters, always an object.

``json.loads`` alone takes the last of two equal keys, accepts NaN and 1e999, lets a lone surrogate through, and ends in
a RecursionError on deep nesting. Every check takes time in proportion to the file, whatever the file says.
"""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from clearhead.errors import RunError

MAX_BYTES = 4 << 20
MAX_DEPTH = 32

_STRINGS = re.compile(rb'"(?s:[^"\\]|\\.)*+"?')  # possessive, and the end may be missing: nothing is read twice
_STEPS = np.zeros(256, dtype=np.int8)
_STEPS[list(b"[{")], _STEPS[list(b"]}")] = 1, -1


def read_json(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """The object in the file at ``path``.

    Raises:
        RunError: the file is missing, too large, too deep, not UTF-8, not JSON, or not an object.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from None
    if len(raw) > max_bytes:
        raise RunError(f"{path}: expected at most {max_bytes} bytes of JSON, but the file is larger")
    return parse_json(raw, str(path))


def parse_json(raw: bytes, where: str) -> dict[str, Any]:
    """The object written in ``raw``; ``where`` opens the sentence of an error."""
    if _depth(raw) > MAX_DEPTH:
        raise RunError(f"{where}: expected JSON nested at most {MAX_DEPTH} deep, but it is deeper")
    try:
        value = json.loads(
            raw.decode(), object_pairs_hook=_no_key_twice, parse_constant=_refuse_constant, parse_float=_finite
        )
        if b"\\u" in raw:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise RunError(f"{where}: a string holds a lone surrogate, which is no character of Unicode") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{where}: expected UTF-8, but byte {error.start} is not valid UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise RunError(f"{where}: this is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise RunError(f"{where}: expected a JSON object, got {type(value).__name__}")
    return value


def _depth(raw: bytes) -> int:
    """How deep the brackets outside strings nest."""
    steps = _STEPS[np.frombuffer(_STRINGS.sub(b"", raw), dtype=np.uint8)]
    return int(steps.cumsum(dtype=np.int32).max(initial=0))


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return table


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"{digits[:40]} is too large for a number")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
