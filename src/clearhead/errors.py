"""Every error a caller can act on, in one family, each a sentence with both sides: what was expected, what came.

The command line turns any ``ClearheadError`` into one line on stderr and exit status 1; everything else is a bug
and keeps its traceback.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class ClearheadError(Exception):
    """The root of all errors a user can act on."""


class ShapeError(ClearheadError, ValueError):
    """A tensor has the wrong shape, dtype or device."""


class ConfigurationError(ClearheadError, ValueError):
    """A setting is unknown, of the wrong type, out of range, or contradicts another."""


class DataError(ClearheadError, ValueError):
    """A data file is missing, broken or misaligned; the message names the file and, where there is one, the line."""


class RunError(ClearheadError):
    """A run folder is missing a part, is damaged, is in use, or does not fit what is asked of it."""


class MissingExtraError(ClearheadError, ImportError):
    """An optional package is needed and is not installed; the message says what to install."""


def need(module: str, extra: str) -> ModuleType:
    """Import an optional ``module`` or say which extra of clearhead brings it.

    Raises:
        MissingExtraError: the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        raise MissingExtraError(
            f"this needs the package {package!r}, which is not installed: pip install 'clearhead[{extra}]'"
        ) from error


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` for the known name closest to ``name``, or nothing when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]!r}?)" if close else ""
