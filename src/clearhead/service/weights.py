"""The weights of a finished run, checked name by name and byte by byte before they are used.

All of the file's header is checked against the file's size (``pretrained.header``) and against what the configuration
asks for, and the count of numbers before the model is built, so that nothing larger than the file is ever allocated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from torch import nn

from clearhead.errors import RunError
from clearhead.pretrained.header import read_header
from clearhead.training.durable import digest_of
from clearhead.training.tensorfile import read_tensors
from clearhead.training.weights import load_weights, weights_of

FLOATING = ("F64", "F32", "F16", "BF16")


def read_weights(path: Path, model: nn.Module, *, sha256: str | None) -> None:
    """Fill ``model`` from ``path``, after the file proved to hold exactly this model's tensors, undamaged.

    Raises:
        RunError: the file is missing, cut short, damaged, or belongs to another model; the message names it.
    """
    check_header(path, {name: tuple(tensor.shape) for name, tensor in weights_of(model).items()})
    if sha256 is not None and (found := digest_of(path).sha256) != sha256:
        raise RunError(
            f"{path} is damaged: expected SHA-256 {sha256[:12]}… as recorded in config.json, got {found[:12]}…; "
            "copy the file again or train again"
        )
    load_weights(model, read_tensors(path), path)


def check_count(path: Path, parameters: int) -> None:
    """Refuse ``path`` unless it holds as many numbers as the model has; cheap, so that it can come before the model.

    Raises:
        RunError: the file is missing or damaged, or another model's.
    """
    count = sum(math.prod(entry.shape) for entry in read_header(path).values())
    if count != parameters:
        raise RunError(
            f"{path} holds {count:,} numbers, but by config.json this model has {parameters:,}; "
            "do the two files belong to one run?"
        )


def check_header(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Refuse ``path`` unless its header fits its size and names exactly ``shapes``."""
    header = read_header(path)
    for name in sorted(header.keys() | shapes.keys()):
        if name not in header:
            raise RunError(f"{path}: the model has a weight {name!r} which the file lacks; is it another model's file?")
        if name not in shapes:
            raise RunError(f"{path}: the file has a weight {name!r} which the model lacks; is it another model's file?")
        if header[name].shape != shapes[name]:
            raise RunError(
                f"{path}: {name} should have shape {list(shapes[name])} by config.json, "
                f"but has {list(header[name].shape)}"
            )
        if header[name].dtype not in FLOATING:
            raise RunError(f"{path}: {name} should be one of {', '.join(FLOATING)}, but is {header[name].dtype!r}")
