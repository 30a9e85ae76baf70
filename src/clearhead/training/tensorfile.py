"""Named tensors as one safetensors file, streamed tensor by tensor so that no second copy of a model is ever made.

The format: the length of the header in 8 bytes, the header as JSON (dtype, shape, place of each tensor), the bytes of
the tensors without gaps, little-endian (https://github.com/huggingface/safetensors). Written here because the library's
own writer collects all bytes first and does not bring them to the disk; reading is the library's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from clearhead.errors import RunError
from clearhead.training.durable import Digest, digest_of

NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def tensor_pieces(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file that holds ``tensors``: the header, then one piece for each tensor.

    ``metadata`` are texts by name that stand in the header, too.
    """
    assert sys.byteorder == "little"
    ordered = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    end = 0
    for name, tensor in ordered:
        start, end = end, end + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in ordered:
        yield _bytes(tensor)


def read_tensors(path: Path, expected: Digest | None = None) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU; they may share memory with the file, so copy before writing to it.

    Raises:
        RunError: the file is missing, damaged, or not the one whose digest is ``expected``.
    """
    try:
        if expected is not None:
            check_file(path, expected)
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise RunError(f"{path} cannot be read: {error}") from None


def check_file(path: Path, expected: Digest) -> None:
    """Refuse ``path`` unless its bytes are those that were written.

    Raises:
        RunError: the file is missing, of another length, or changed.
    """
    try:
        size = path.stat().st_size
        if size != expected.size:
            raise RunError(f"{path} is damaged: it should have {expected.size} bytes, but has {size}")
        found = digest_of(path).sha256
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except OSError as error:
        raise RunError(f"{path} cannot be read: {error.strerror or error}") from None
    if found != expected.sha256:
        raise RunError(f"{path} is damaged: it should have SHA-256 {expected.sha256[:12]}…, but has {found[:12]}…")


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().to("cpu").contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy())  # type: ignore[arg-type]
