"""Checkpoints on the disk: written whole or not at all, read only when every byte is the one that was written.

``checkpoints/update-00001000/`` holds the weights, the optimiser's state, the random states and ``state.json``;
``manifest.json``, written last, gives length and SHA-256 of each, of the weights files beside (``weights/``: snapshots
and the best) that this state speaks of, and of itself. safetensors and JSON only. Knows nothing of what the tensors
mean.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from clearhead.errors import RunError
from clearhead.training import durable
from clearhead.training.durable import Digest
from clearhead.training.tensorfile import check_file, read_tensors, tensor_pieces

FORMAT = 1
TENSORS = ("model", "optimizer", "random")
STATE, MANIFEST = "state.json", "manifest.json"
FILES = frozenset({STATE, *(f"{name}.safetensors" for name in TENSORS)})
FOLDER_NAME = re.compile(r"update-(\d{8,})")
BESIDE_NAME = re.compile(r"weights/update-\d{8,}\.safetensors")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything a run goes on from. ``beside`` names weights files relative to the folder of all checkpoints."""

    update: int
    model: Mapping[str, Tensor]
    optimizer: Mapping[str, Tensor]
    random: Mapping[str, Tensor]
    state: Mapping[str, Any]
    beside: Mapping[str, Digest] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Found:
    """The newest complete checkpoint, if any, and a sentence for every newer one that is not."""

    path: Path | None
    passed_over: tuple[str, ...]


def name_of(update: int) -> str:
    """``update-00001000``; longer where eight digits do not suffice."""
    return f"update-{update:08d}"


def weights_name(update: int) -> str:
    """Where the weights of ``update`` alone lie, relative to the folder of all checkpoints."""
    return f"weights/{name_of(update)}.safetensors"


def save(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write ``checkpoint`` under ``folder``, bring it to the disk, read it back, and return where it lies.

    Raises:
        OSError: it could not be written; nothing of it is left and earlier ones are as they were.
        RunError: it was written but does not read back as it should; nothing of it is left.
    """
    final = folder / name_of(checkpoint.update)
    temporary = durable.unfinished(final)
    durable.make_folder(folder)
    try:
        durable.remove_leftovers(folder)
        durable.make_folder(temporary)
        _fill(temporary, checkpoint)
        durable.remove(final)
        durable.publish_folder(temporary, final)
        verify(final)
    except OSError:
        _forget(temporary)
        raise
    except RunError:
        _forget(final)
        raise
    return final


def load(path: Path) -> Checkpoint:
    """The checkpoint at ``path``, after every byte of it was checked.

    Raises:
        RunError: a file is missing, damaged or swapped; the message names it.
    """
    files, beside = verify(path)
    tensors = {name: read_tensors(path / f"{name}.safetensors") for name in TENSORS}
    check_file(path / STATE, files[STATE])
    state = json.loads((path / STATE).read_bytes())
    return Checkpoint(_update_of(path), tensors["model"], tensors["optimizer"], tensors["random"], state, beside)


def verify(path: Path) -> tuple[dict[str, Digest], dict[str, Digest]]:
    """Check the files of the checkpoint at ``path``; return their digests and those of the files beside (not checked).

    Raises:
        RunError: a file is missing, damaged or swapped; the message names it.
    """
    files, beside = read_manifest(path)
    for name, digest in sorted(files.items()):
        check_file(path / name, digest)
    return files, beside


def newest(folder: Path) -> Found:
    """The newest checkpoint under ``folder`` that is complete together with the weights files it speaks of."""
    passed_over: list[str] = []
    for path in saved(folder):
        try:
            _, beside = verify(path)
            for name, digest in sorted(beside.items()):
                check_file(folder / name, digest)
        except RunError as error:
            passed_over.append(f"{path.name}: {error}")
        else:
            return Found(path, tuple(passed_over))
    return Found(None, tuple(passed_over))


def saved(folder: Path) -> list[Path]:
    """All checkpoints under ``folder``, complete or not, newest first."""
    paths = [path for path in folder.glob("update-*") if FOLDER_NAME.fullmatch(path.name)]
    return sorted(paths, key=_update_of, reverse=True)


def retire(folder: Path, update: int, keep: int) -> None:
    """Remove all but the checkpoint of ``update``, which was read back, and the ``keep`` − 1 before it.

    Those after it go too: the run has come by them again, so they were damaged.
    """
    past = [path for path in saved(folder) if _update_of(path) <= update]
    for path in {*saved(folder)} - {*past[:keep]}:
        durable.remove(path)


def sweep(folder: Path, wanted: frozenset[str]) -> None:
    """Remove the weights files that neither a checkpoint nor ``wanted`` speaks of."""
    spoken_of = set(wanted)
    for path in saved(folder):
        try:
            spoken_of.update(read_manifest(path)[1])
        except RunError:
            continue  # a damaged checkpoint is passed over on resuming too, so it needs no files
    for path in sorted((folder / "weights").glob("*")):
        if f"weights/{path.name}" not in spoken_of:
            durable.remove(path)


def read_manifest(path: Path) -> tuple[dict[str, Digest], dict[str, Digest]]:
    """What ``manifest.json`` says of the files of the checkpoint at ``path`` and of those beside it.

    Raises:
        RunError: it is missing, damaged, of a later format, or belongs to another checkpoint.
    """
    file = path / MANIFEST
    try:
        written = file.read_bytes()
        table = json.loads(written)
        files, beside = (
            {name: Digest(**digest) for name, digest in table[part].items()} for part in ("files", "beside")
        )
        whole = written == _manifest(table["update"], files, beside)
    except FileNotFoundError:
        raise RunError(f"{file} is missing: the checkpoint is incomplete") from None
    except OSError as error:
        raise RunError(f"{file} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise RunError(f"{file} is damaged: it is not what was written") from None
    if not whole or files.keys() != FILES or not all(BESIDE_NAME.fullmatch(name) for name in beside):
        raise RunError(
            f"{file} is damaged, or of another version: its own checksum or its list of files is not as expected"
        )
    if table["update"] != _update_of(path):
        raise RunError(f"{path} is misnamed: {MANIFEST} speaks of update {table['update']}")
    return files, beside


def _fill(folder: Path, checkpoint: Checkpoint) -> None:
    parts = {"model": checkpoint.model, "optimizer": checkpoint.optimizer, "random": checkpoint.random}
    digests = {
        f"{name}.safetensors": durable.write_file(folder / f"{name}.safetensors", tensor_pieces(tensors))
        for name, tensors in parts.items()
    }
    digests[STATE] = durable.write_file(folder / STATE, [_json(checkpoint.state)])
    durable.write_file(folder / MANIFEST, [_manifest(checkpoint.update, digests, checkpoint.beside)])


def _manifest(update: int, files: Mapping[str, Digest], beside: Mapping[str, Digest]) -> bytes:
    """The only bytes a manifest of these digests may have: any flipped bit makes another file of it."""
    table: dict[str, Any] = {"format": FORMAT, "update": update}
    table |= {"files": {name: asdict(digest) for name, digest in files.items()}}
    table |= {"beside": {name: asdict(digest) for name, digest in beside.items()}}
    return _json(table | {"sha256": hashlib.sha256(_json(table)).hexdigest()})


def _json(table: Mapping[str, Any]) -> bytes:
    return (json.dumps(table, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def _update_of(path: Path) -> int:
    return int(path.name.removeprefix("update-"))


def _forget(path: Path) -> None:
    """Remove what a failed save left; where even that fails, the next save will."""
    with contextlib.suppress(OSError):
        durable.remove(path)
