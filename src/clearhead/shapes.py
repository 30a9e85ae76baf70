"""The dimension letters of the house, and the checks that speak them.

B batch, T queries, S keys, H query heads, G key/value heads (G divides H), D query/key width of a head, M value width
of a head, K kept keys or hypotheses, V vocabulary, W width of the residual stream, N rows (sentences times hypotheses).
Public functions check with these words; inside dense arithmetic the letters stand as suffixes (``scores_BHTS``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clearhead.errors import ShapeError

Map = tuple[int, int, int, int]  # the sizes (B, H, T, S)
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def dimensions(**tensors: Tensor) -> str:
    """The shapes of named tensors as one phrase for an error: ``q (2, 4, 5, 8), k (2, 4, 7, 8)``."""
    return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items())


def check_four(name: str, tensor: Tensor, letters: str) -> None:
    """Refuse a tensor that is not floating and four-dimensional; ``letters`` names the dimensions: "B, H, T, D"."""
    if tensor.dim() != 4:
        raise ShapeError(f"{name} must have 4 dimensions ({letters}), got {tensor.dim()}: {tuple(tensor.shape)}")
    if tensor.dtype not in FLOATS:
        raise ShapeError(f"{name} must be float64, float32, bfloat16 or float16, got {tensor.dtype}")


def check_queries_keys(q: Tensor, k: Tensor) -> None:
    """Check that ``q`` (B, H, T, D) can be scored against ``k`` (B, G, S, D).

    Raises:
        ShapeError: with both shapes and the dimension that does not fit.
    """
    check_four("q", q, "B, H, T, D")
    check_four("k", k, "B, G, S, D")
    both = dimensions(q=q, k=k)
    if q.shape[0] != k.shape[0]:
        raise ShapeError(f"q and k must have the same batch size, got {both}")
    if q.shape[3] != k.shape[3]:
        raise ShapeError(f"q and k must have the same width per head (last dimension), got {both}")
    if k.shape[1] == 0 or q.shape[1] % k.shape[1]:
        raise ShapeError(f"the key heads must divide the query heads (second dimension), got {both}")
    _check_alike("q", q, "k", k)


def check_values(k: Tensor, v: Tensor) -> None:
    """Check that ``v`` (B, G, S, M) belongs to ``k`` (B, G, S, D)."""
    check_four("v", v, "B, G, S, M")
    if k.shape[:3] != v.shape[:3]:
        raise ShapeError(f"k and v must agree in batch, heads and length, got {dimensions(k=k, v=v)}")
    _check_alike("k", k, "v", v)


def _check_alike(first: str, a: Tensor, second: str, b: Tensor) -> None:
    if a.dtype != b.dtype:
        raise ShapeError(f"{first} and {second} must have one dtype, got {a.dtype} and {b.dtype}")
    if a.device != b.device:
        raise ShapeError(f"{first} and {second} must be on one device, got {a.device} and {b.device}")


def check_over_map(name: str, tensor: Tensor, full: Map, device: torch.device) -> None:
    """Check that ``tensor`` can be laid over the (B, H, T, S) map of queries on ``device``."""
    if tensor.device != device:
        raise ShapeError(f"{name} must be on the device of q, {device}, got {tensor.device}")
    check_broadcastable(name, tensor.shape, full)


def check_map(name: str, tensor: Tensor, full: Map) -> None:
    """Check that what the callable ``name`` returned is a (B, H, T, S) map."""
    if tuple(tensor.shape) != tuple(full):
        raise ShapeError(f"{name} must return (B, H, T, S) = {tuple(full)}, got {tuple(tensor.shape)}")


def check_broadcastable(name: str, shape: Sequence[int], full: Map) -> None:
    """Check that something of ``shape`` broadcasts to (B, H, T, S)."""
    sizes = zip(reversed(shape), reversed(full), strict=False)
    if len(shape) > 4 or any(got not in (1, right) for got, right in sizes):
        raise ShapeError(f"{name} must broadcast to (B, H, T, S) = {full}, got {tuple(shape)}")


def check_tile(name: str, tile: Tensor, size: tuple[int, int]) -> None:
    """Check that what ``name`` returned broadcasts to a rectangle (…, t, s) of the map."""
    if tile.dim() > 4 or any(got not in (1, right) for got, right in zip(tile.shape[-2:], size, strict=False)):
        raise ShapeError(f"{name} must return (…, t, s) = {size}, got {tuple(tile.shape)}")
