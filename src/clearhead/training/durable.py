"""Files that are there whole or not at all, whatever happens in between: a kill, a full disk, a loss of power.

Everything is written under a temporary name, brought to the disk (fsync), renamed, and the folder that holds the name
is brought to the disk too. Temporary names begin with a dot; nobody reads them, and the next writer removes them. All
calls go through ``os``, one at a time, so that a test can crash between any two. Knows nothing of what the files
contain.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

PIECE = 8 << 20


@dataclass(frozen=True, slots=True)
class Digest:
    """What was written: SHA-256 in hexadecimal, and the number of bytes."""

    sha256: str
    size: int


def unfinished(path: Path) -> Path:
    """The temporary name of ``path``, in the same folder."""
    return path.with_name(f".new-{path.name}")


def write_file(path: Path, pieces: Iterable[bytes | memoryview]) -> Digest:
    """Write a new file and bring its contents to the disk; its name is safe only once the folder is."""
    seen, size = hashlib.sha256(), 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        for piece in _small(pieces):
            seen.update(piece)
            size += piece.nbytes
            _write_all(handle, piece)
        os.fsync(handle)
    finally:
        os.close(handle)
    return Digest(seen.hexdigest(), size)


def replace_file(path: Path, pieces: Iterable[bytes | memoryview]) -> Digest:
    """Put a file in the place of ``path``: a reader sees the old one or the new one. On failure the old one stays."""
    temporary = unfinished(path)
    remove(temporary)
    try:
        digest = write_file(temporary, pieces)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            remove(temporary)
        raise
    sync_folder(path.parent)
    return digest


def publish_folder(temporary: Path, final: Path) -> None:
    """Give the finished folder ``temporary`` its name ``final``, which must be free."""
    sync_folder(temporary)
    os.rename(temporary, final)
    sync_folder(final.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in ``folder`` to the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its parents where they are missing, and bring their names to the disk."""
    if not folder.is_dir():
        make_folder(folder.parent)
        os.mkdir(folder)
        sync_folder(folder.parent)


def remove(path: Path) -> None:
    """Remove a file, or a folder of files; a folder first gets a name that nobody reads. A missing one is fine."""
    if path.is_dir() and not path.is_symlink():
        hidden = path if path.name.startswith(".") else path.with_name(f".old-{path.name}")
        if hidden != path:
            remove(hidden)
            os.rename(path, hidden)
        for entry in sorted(hidden.iterdir()):
            remove(entry) if entry.is_dir() and not entry.is_symlink() else os.unlink(entry)
        os.rmdir(hidden)
    elif path.is_symlink() or path.exists():
        os.unlink(path)


def remove_leftovers(folder: Path) -> None:
    """Remove what earlier writers left under temporary names."""
    for path in sorted(folder.glob(".new-*")) + sorted(folder.glob(".old-*")):
        remove(path)


def digest_of(path: Path) -> Digest:
    """SHA-256 and size of an existing file, read in pieces."""
    with path.open("rb") as file:
        return Digest(hashlib.file_digest(file, "sha256").hexdigest(), file.tell())


def _small(pieces: Iterable[bytes | memoryview]) -> Iterator[memoryview]:
    for piece in pieces:
        view = memoryview(piece)
        yield from (view[start : start + PIECE] for start in range(0, view.nbytes, PIECE))


def _write_all(handle: int, piece: memoryview) -> None:
    while piece.nbytes:
        piece = piece[os.write(handle, piece) :]
