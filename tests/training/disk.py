"""A disk that loses its power, or its space, at a chosen moment: stands in for ``os`` in ``training.durable``.

Every call is carried out for real. Beside that, what a power cut would leave is kept in a tree of nodes: a file's
contents are safe once the file was fsynced, a name once its folder was. What is not safe may or may not be there
afterwards; the ways in which that can fall out are the ``Fate``s.
"""

from __future__ import annotations

import enum
import errno
import os
import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

COUNTED = ("open", "write", "fsync", "rename", "mkdir", "unlink", "rmdir")


class PowerCut(BaseException):
    """Nothing may catch this."""


class Fate(enum.Enum):
    """What becomes of that which was not brought to the disk."""

    LOST = "all of it is lost"
    NAMES_ONLY = "names are there, contents are not"
    CHANCE = "names of some folders are there, contents are not"
    KILLED = "nothing is lost: the process was killed, the system lives on"


@dataclass(eq=False)
class Node:
    """A file or a folder: now, and as the disk has it."""

    live: dict[str, Node] | None  # None for a file
    safe: Any = None  # bytes of a file, names of a folder


@dataclass
class FallibleDisk:
    """``os`` for one folder. Stops before call number ``at`` (from 0), that is, after the one before; none where −1.

    With ``full`` there is no cut, but from that call on nothing more can be written. fsync is only noted, not done:
    what it is good for is the business of the tree.
    """

    root: Path
    at: int = -1
    full: bool = False
    calls: int = 0
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tree = _scan(self.root)
        self.handles: dict[int, Node] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in COUNTED:
            return getattr(os, name)

        def call(*arguments: Any) -> Any:
            return self._call(name, arguments)

        return call

    def _call(self, name: str, arguments: tuple[Any, ...]) -> Any:
        number, self.calls = self.calls, self.calls + 1
        self.log.append(f"{name} {arguments[0]}")
        if self.full and 0 <= self.at <= number and _writes(name, arguments):
            raise OSError(errno.ENOSPC, "No space left on device")
        if not self.full and number == self.at:
            raise PowerCut(self.log[-1])
        result = None if name == "fsync" else getattr(os, name)(*arguments)
        getattr(self, f"_note_{name}")(result, *arguments)
        return result

    def _note_open(self, handle: int, path: Path, flags: int, *mode: int) -> None:
        if flags & os.O_CREAT:
            self._folder(path)[path.name] = Node(None, b"")
        self.handles[handle] = self._find(path)

    def _note_write(self, written: int, handle: int, piece: bytes) -> None:
        """Safe only with the next fsync."""

    def _note_fsync(self, result: None, handle: int) -> None:
        node = self.handles[handle]
        if node.live is None:
            node.safe = Path(f"/proc/self/fd/{handle}").read_bytes()
        else:
            node.safe = dict(node.live)

    def _note_rename(self, result: None, old: Path, new: Path) -> None:
        self._folder(new)[new.name] = self._folder(old).pop(old.name)

    def _note_mkdir(self, result: None, path: Path, *mode: int) -> None:
        self._folder(path)[path.name] = Node({}, {})

    def _note_unlink(self, result: None, path: Path) -> None:
        del self._folder(path)[path.name]

    _note_rmdir = _note_unlink

    def _find(self, path: Path) -> Node:
        node = self.tree
        for part in path.relative_to(self.root).parts:
            assert node.live is not None
            node = node.live[part]
        return node

    def _folder(self, path: Path) -> dict[str, Node]:
        live = self._find(path.parent).live
        assert live is not None
        return live

    def leave(self, fate: Fate, to: Path, chance: random.Random) -> None:
        """Write to ``to`` what a reader finds after the power has come back."""
        _write(self.tree, fate, to, chance)


def _writes(name: str, arguments: tuple[Any, ...]) -> bool:
    return name in ("write", "fsync", "mkdir") or (name == "open" and bool(arguments[1] & os.O_CREAT))


def _scan(path: Path) -> Node:
    if path.is_file():
        return Node(None, path.read_bytes())
    nodes = {entry.name: _scan(entry) for entry in path.iterdir()}
    return Node(nodes, dict(nodes))


def _write(node: Node, fate: Fate, to: Path, chance: random.Random) -> None:
    if node.live is None:
        to.write_bytes(node.safe)
        return
    to.mkdir()
    keeps = fate is Fate.NAMES_ONLY or (fate is Fate.CHANCE and chance.random() < 0.5)
    for name, entry in (node.live if keeps else node.safe).items():
        _write(entry, fate, to / name, chance)
