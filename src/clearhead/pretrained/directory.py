"""A model directory from elsewhere, opened without trusting it: config.json, safetensors with or without index, texts.

Nothing of it is ever run: pickles are named and left closed, Python files are not looked at, templates are text. All
names that the directory gives lead to regular files inside it, by their real paths, so that no link and no ``..`` leads
out. What tensors there are comes from the headers, which are checked against the files' sizes before anything is
allocated. This file knows no architecture; those are one file a family beside it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from clearhead.errors import RunError
from clearhead.pretrained.header import BYTES, Entry, read_header
from clearhead.strict_json import MAX_BYTES, read_json

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
LARGEST_TEXT = 64 << 20  # bytes of a tokenizer's file
LARGEST_INDEX = 32 << 20
MOST_FILES = 1024
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".npz", ".npy")
OTHERS = (".h5", ".msgpack", ".onnx", ".gguf", ".ot", ".tflite")
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
assert DTYPES.keys() == BYTES.keys()


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """One tensor of a directory: what it is, and the first byte of it in which file."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    file: Path
    place: int

    @property
    def numel(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class ModelDirectory:
    """Settings and tensors of a directory that passed every check; files of a tokenizer on demand."""

    path: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, TensorInfo]

    @classmethod
    def open(cls, path: str | Path) -> ModelDirectory:
        """Check the directory as a whole; no tensor is read yet.

        Raises:
            RunError: there is no such folder, a part is missing, damaged or unsafe; the message names file and cause.
        """
        folder = Path(path)
        if not folder.is_dir():
            raise RunError(f"{path} is not a model directory: there is no such folder")
        config_file = inside(folder, CONFIG)
        if config_file is None:
            raise RunError(f"{path} is not a model directory: it has no {CONFIG}")
        config = read_json(config_file)
        refuse_code(config, config_file)
        return cls(folder, config, _tensors(folder))

    def read(self, name: str) -> Tensor:
        """The tensor ``name`` with dtype and numbers as the file has them, on the CPU, in memory of its own.

        Raises:
            RunError: there is none of this name, or its file changed since it was checked.
        """
        if name not in self.tensors:
            raise RunError(f"{self.path}: there is no tensor {name!r} in its safetensors files")
        assert sys.byteorder == "little"
        info = self.tensors[name]
        tensor = torch.empty(info.shape, dtype=info.dtype)
        view = memoryview(tensor.reshape(-1).view(torch.uint8).numpy())  # type: ignore[arg-type]
        try:
            with info.file.open("rb") as file:
                file.seek(info.place)
                found = file.readinto(view)
        except OSError as error:
            raise RunError(f"{info.file} cannot be read: {error.strerror or error}") from None
        if found != len(view):
            raise RunError(f"{info.file} was cut short while it was read: {name} needs {len(view)} bytes, got {found}")
        return tensor

    def has(self, name: str) -> bool:
        """Whether there is such a file; ``name`` is a plain one, such as "vocab.txt"."""
        return inside(self.path, name) is not None

    def json(self, name: str, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
        """The object in the JSON file ``name``, read strictly; code that it names is refused.

        Raises:
            RunError: the file is missing, leads out of the directory, or is no such JSON.
        """
        path = self.file(name)
        table = read_json(path, max_bytes=max_bytes)
        refuse_code(table, path)
        return table

    def bytes(self, name: str) -> bytes:
        """All of the file ``name``.

        Raises:
            RunError: the file is missing, leads out of the directory, or is larger than a tokenizer's files are.
        """
        path = self.file(name)
        try:
            with path.open("rb") as file:
                content = file.read(LARGEST_TEXT + 1)
        except OSError as error:
            raise RunError(f"{path} cannot be read: {error.strerror or error}") from None
        if len(content) > LARGEST_TEXT:
            raise RunError(f"{path}: expected at most {LARGEST_TEXT} bytes, but the file is larger")
        return content

    def text(self, name: str) -> str:
        """The file ``name`` as UTF-8, line ends as they are.

        Raises:
            RunError: as for ``bytes``, or the file is not UTF-8.
        """
        try:
            return self.bytes(name).decode()
        except UnicodeDecodeError as error:
            raise RunError(f"{self.path / name}: expected UTF-8, but byte {error.start} is not valid UTF-8") from None

    def file(self, name: str) -> Path:
        """The regular file ``name`` of this directory.

        Raises:
            RunError: there is none, or it leads out of the directory.
        """
        path = inside(self.path, name)
        if path is None:
            raise RunError(f"{self.path} has no {name}")
        return path


def inside(folder: Path, name: str) -> Path | None:
    """The regular file ``name`` directly in ``folder``; None where there is nothing of this name.

    Raises:
        RunError: ``name`` is a path, or what it names is no regular file or lies elsewhere by its real path.
    """
    if not name.isprintable() or name in ("", ".", "..") or any(separator in name for separator in "/\\:"):
        raise RunError(f"{folder}: expected the plain name of a file in this folder, got {name[:80]!r}")
    path = folder / name
    if not path.exists() and not path.is_symlink():
        return None
    if path.resolve().parent != folder.resolve():
        raise RunError(
            f"{path} is a link that leads out of the folder, and nothing outside is read: "
            "copy the folder with what its links name (cp -rL) and give the copy"
        )
    if not path.is_file():
        raise RunError(f"{path} should be a regular file")
    return path


def inside_folder(folder: Path, below: str, name: str) -> Path | None:
    """The regular file ``name`` in the folder ``below`` of ``folder``; None where there is none.

    Raises:
        RunError: as ``inside``, or ``below`` is a link that leads out.
    """
    inner = folder / below
    if inner.is_dir() and inner.resolve().parent != folder.resolve():
        raise RunError(f"{inner} is a link that leads out of the folder, and nothing outside is read")
    return inside(inner, name) if inner.is_dir() else None


def refuse_code(table: Mapping[str, Any], path: Path) -> None:
    """Refuse settings that name Python code to be run.

    Raises:
        RunError: ``auto_map`` or ``trust_remote_code`` asks for it.
    """
    for key in ("auto_map", "trust_remote_code"):
        if table.get(key):
            raise RunError(
                f"{path}: {key} asks for Python code from the folder or the network, which is never run; "
                f"if the model is one of the known families without that code, take {key} out"
            )


def _tensors(folder: Path) -> dict[str, TensorInfo]:
    index = inside(folder, INDEX)
    if inside(folder, WEIGHTS) is None and index is not None:
        return _indexed(folder, index)
    file = _only_file(folder)
    return dict(_infos(file, read_header(file)))


def _only_file(folder: Path) -> Path:
    """The one safetensors file of a folder without index: the one of the usual name, or the only one."""
    names = [WEIGHTS] if (folder / WEIGHTS).exists() else _names(folder, (".safetensors",))
    if len(names) > 1:
        raise RunError(
            f"{folder} has {len(names)} safetensors files ({', '.join(names[:3])}, …), but no {INDEX} that says what "
            "is in which: the download is probably incomplete"
        )
    if not names:
        raise RunError(_without_weights(folder))
    file = inside(folder, names[0])
    assert file is not None
    return file


def _without_weights(folder: Path) -> str:
    if pickles := _names(folder, PICKLES):
        return (
            f"{folder} has its weights only in {', '.join(pickles[:3])}, a pickle, which can run code when it is "
            "opened and never is: convert it to safetensors where you trust it (in transformers: "
            "from_pretrained, then save_pretrained) and give the new folder"
        )
    if others := _names(folder, OTHERS):
        return f"{folder} has its weights only in {', '.join(others[:3])}; expected {WEIGHTS}: convert it first"
    return f"{folder} has no weights: expected {WEIGHTS}, or {INDEX} and the files it names"


def _names(folder: Path, endings: tuple[str, ...]) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.name.lower().endswith(endings))


def _indexed(folder: Path, index: Path) -> dict[str, TensorInfo]:
    """The tensors of several files, each in exactly the file that the index says."""
    places = read_json(index, max_bytes=LARGEST_INDEX).get("weight_map")
    if not (isinstance(places, dict) and places and all(isinstance(name, str) for name in places.values())):
        raise RunError(f"{index}: expected 'weight_map' with the file of each tensor")
    names = sorted(set(places.values()))
    if len(names) > MOST_FILES:
        raise RunError(f"{index}: expected at most {MOST_FILES} files of weights, got {len(names)}")
    found: dict[str, TensorInfo] = {}
    for file in _shards(folder, index, names):
        for name, info in _infos(file, read_header(file)):
            if places.get(name) != file.name:
                raise RunError(f"{file} holds {name!r}, but by {index.name} that is in {places.get(name)!r}")
            found[name] = info
    if lacking := sorted(places.keys() - found.keys()):
        raise RunError(f"{index}: {lacking[0]!r} should be in {places[lacking[0]]}, which does not hold it")
    return found


def _shards(folder: Path, index: Path, names: Iterable[str]) -> Iterator[Path]:
    for name in names:
        if not name.endswith(".safetensors"):
            raise RunError(f"{index}: weights are read from safetensors files only, got {name[:80]!r}")
        file = inside(folder, name)
        if file is None:
            raise RunError(f"{folder} has no {name}, which {index.name} names: the download is probably incomplete")
        yield file


def _infos(file: Path, header: Mapping[str, Entry]) -> Iterator[tuple[str, TensorInfo]]:
    for name, entry in header.items():
        yield name, TensorInfo(entry.shape, DTYPES[entry.dtype], file, entry.place)
