"""One process a run folder: an advisory lock on a file in it, which the system itself drops when its holder dies.

POSIX only (flock). The file stays behind, empty of meaning; deleting it would let two processes hold two locks.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from clearhead.errors import RunError

NAME = ".lock"


@contextlib.contextmanager
def only_user(folder: Path) -> Iterator[None]:
    """Hold ``folder`` (made when missing) for this process.

    Raises:
        RunError: another process, or another run in this one, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder / NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        _take(handle, folder)
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _take(handle: int, folder: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(handle, 20, 0).decode("ascii", "replace").strip() or "unknown"
        raise RunError(
            f"{folder} is in use by another training process (process {holder}); "
            "wait for it, stop it, or choose another folder"
        ) from None
    except OSError as error:
        raise RunError(f"{folder} cannot be locked against a second process: {error.strerror}") from None
