"""Fenced code blocks of a Markdown file, and a shell in which its commands can be run as they stand.

``python`` blocks are run in one namespace a document, ``sh`` blocks in one folder a document; ``text`` and ``toml``
blocks only show. In that shell ``clearhead train`` trains a handful of updates, and ``make`` says what it would do.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICKLY = "--set training.updates=4 --set training.warmup=2 --set training.validate_every=4"
CLEARHEAD = f"""#!/bin/sh
[ "$1" = train ] && set -- "$@" {QUICKLY}
[ "$1" = train ] && ! grep -q "^from = " "$2" && set -- "$@" --set model.width=16
exec {sys.executable} -m clearhead "$@"
"""
MAKE = f"""#!/bin/sh
exec env PATH="$REAL_PATH" make --dry-run --directory {ROOT} "$@"
"""
TIMEOUT = 180


@dataclass(frozen=True)
class Block:
    """One fenced block: where it begins, its language, what it says."""

    line: int
    language: str
    text: str


def blocks(document: Path) -> Iterator[Block]:
    """The fenced blocks of a document in order."""
    text = document.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        yield Block(text.count("\n", 0, match.start()) + 1, match[1], match[2])


def install_commands(folder: Path) -> None:
    """Put ``clearhead`` and ``make`` as described above into ``folder``."""
    folder.mkdir()
    for name, script in (("clearhead", CLEARHEAD), ("make", MAKE)):
        (folder / name).write_text(script, encoding="utf-8")
        (folder / name).chmod(0o755)


def run_shell(text: str, folder: Path, commands: Path) -> subprocess.CompletedProcess[str]:
    """Run the lines of a ``sh`` block in ``folder``; the first that fails ends it."""
    path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=os.environ | {"PATH": path, "REAL_PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
