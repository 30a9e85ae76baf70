"""What every command shares: options as one dataclass, errors as one line and an exit status, a quiet broken pipe.

A command is a function of one frozen dataclass whose fields are typer's arguments and options. ``door`` spells the
fields out as the signature typer reads, adds ``--debug``, and turns whatever ends the command into an exit status:
0 done, 1 a failure the user can act on, 130 or 143 interrupted after saving.
"""

from __future__ import annotations

import dataclasses
import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from clearhead.errors import ClearheadError

Options = TypeVar("Options")
Debug = Annotated[bool, typer.Option("--debug", help="Show the full traceback of an error.")]


class Interrupted(Exception):
    """The user or the system asked the command to stop, and what was to be saved is saved."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.signal_number = signal_number


def door(options: type[Options], command: Callable[[Options], None]) -> Callable[..., None]:
    """The function that typer registers for ``command``, which takes ``options``."""

    def enter(*, debug: bool = False, **given: Any) -> None:
        status = _status(lambda: command(options(**given)), debug=debug)
        if status:
            raise typer.Exit(status)

    hints = get_type_hints(options, include_extras=True) | {"debug": Debug}
    enter.__doc__ = command.__doc__
    enter.__annotations__ = hints
    enter.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [_parameter(field, hints[field.name]) for field in dataclasses.fields(options)]  # type: ignore[arg-type]
        + [inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug)]
    )
    return enter


def _parameter(field: dataclasses.Field[Any], annotation: Any) -> inspect.Parameter:
    default: Any = inspect.Parameter.empty
    if field.default is not dataclasses.MISSING:
        default = field.default
    elif field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _status(act: Callable[[], None], *, debug: bool) -> int:
    try:
        act()
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
    except Interrupted as stop:
        _complain(str(stop))
        return 128 + stop.signal_number
    except KeyboardInterrupt:
        _complain("interrupted")
        return 128 + signal.SIGINT
    except (ClearheadError, OSError) as error:
        if debug:
            traceback.print_exc()
        _complain(f"error: {_sentence(error)}")
        return 1
    return 0


def _sentence(error: Exception) -> str:
    """What happened; the system's own errors (a full disk, a missing right) begin with the file."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or str(error)).lower()}"
    return str(error)


def _complain(sentence: str) -> None:
    """One line on stderr, however many lines the sentence came in."""
    typer.echo("clearhead: " + " ".join(sentence.split()), err=True)


def _drop_stdout() -> None:
    """The reader has gone: send what is still buffered nowhere, so that the exit stays quiet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
