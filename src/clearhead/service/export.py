"""Writes a finished run as others read it, into a folder that is there whole or not at all.

A target is a function from a run to files; ``TARGETS`` lists them. The weights are those of the run's file, bit by
bit, in the dtype they have there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clearhead.errors import ConfigurationError, RunError, nearest
from clearhead.service.ctranslate2_model import ctranslate2
from clearhead.service.onnx_model import onnx
from clearhead.service.published import Files, Written, huggingface
from clearhead.service.run_folder import RunFolder
from clearhead.training.durable import make_folder, publish_folder, remove, unfinished, write_file

TARGETS: dict[str, Callable[[RunFolder, str | None], Written]] = {
    "huggingface": huggingface,
    "ctranslate2": ctranslate2,
    "onnx": onnx,
}


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written: for whom, as what, and where; ``notes`` are sentences to be told with it."""

    target: str
    kind: str
    folder: Path
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def export(path: str | Path, target: str, out: str | Path, *, family: str | None = None) -> Exported:
    """Write the run in ``path`` for ``target`` into the folder ``out``, which must be absent or empty.

    Args:
        path: a finished run.
        target: one of ``TARGETS``.
        out: the folder to be made.
        family: which family of published models it is written as; the first that fits when not given.

    Raises:
        ConfigurationError: the target is unknown, or has no such model; what is in the way is named.
        RunError: the run is not finished or damaged, or ``out`` holds something.
    """
    if target not in TARGETS:
        raise ConfigurationError(
            f"expected a target, one of {', '.join(TARGETS)}; got {target!r}{nearest(target, TARGETS)}"
        )
    run, folder = RunFolder.open(path), Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(f"{folder} is not empty; choose another folder with --out (nothing was changed)")
    written = TARGETS[target](run, family)
    try:
        _write(folder, written.files)
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error.strerror or error}") from None
    return Exported(target, written.kind, folder, tuple(sorted(written.files)), written.notes)


def _write(folder: Path, files: Files) -> None:
    make_folder(folder.absolute().parent)
    temporary = unfinished(folder.absolute())
    remove(temporary)
    try:
        temporary.mkdir()
        for name, pieces in files.items():
            write_file(temporary / name, pieces)
        if folder.exists():
            folder.rmdir()
        publish_folder(temporary, folder.absolute())
    except BaseException:
        remove(temporary)
        raise
