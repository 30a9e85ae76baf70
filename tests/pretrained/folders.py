"""Model directories written by hand, so that every byte of them can lie."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

TENSORS = {
    "a.weight": torch.arange(15, dtype=torch.float32).view(3, 5),
    "b.bias": torch.tensor([1.5, -2.25, 7.0], dtype=torch.bfloat16),
    "c.scale": torch.tensor(0.1, dtype=torch.float64),
    "d.ids": torch.arange(7)[None],
    "e.empty": torch.zeros(0, 3, dtype=torch.float16),
    "f.flags": torch.tensor([True, False, True]),
}


def write_folder(folder: Path, tensors: Mapping[str, Tensor] = TENSORS, config: object | None = None) -> Path:
    """A directory with ``config.json`` and ``model.safetensors``."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {"model_type": "none"} if config is None else config)
    save_file(dict(tensors), folder / "model.safetensors")
    return folder


def write_shards(folder: Path, tensors: Mapping[str, Tensor] = TENSORS) -> Path:
    """The same in two files with an index."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", {"model_type": "none"})
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[:2], "model-00002-of-00002.safetensors": names[2:]}
    for file, part in shards.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    write_index(folder, {name: file for file, part in shards.items() for name in part})
    return folder


def write_index(folder: Path, places: object) -> None:
    """The index that says which tensor is in which file."""
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": 1}, "weight_map": places})


def write_json(path: Path, value: object) -> None:
    """Any value as JSON, NaN included."""
    path.write_text(json.dumps(value), encoding="utf-8")


def header_of(path: Path) -> dict[str, Any]:
    """The header of a safetensors file."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    table: dict[str, Any] = json.loads(content[8 : 8 + length])
    return table


def write_header(path: Path, header: bytes) -> None:
    """Another header before the same bytes."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    path.write_bytes(struct.pack("<Q", len(header)) + header + content[8 + length :])
