"""Any part of any map of attention weights, computed exactly when it is looked at, in memory of one block of rows.

A row of weights needs all keys, so what is held is a few whole rows (``inspection.tiles``). Where a map is larger than
the place it is shown in, cells are pooled by their maximum: a single bright cell among thousands stays visible, which
a mean would hide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.inspection.record import AttentionRecord
from clearhead.inspection.tiles import weight_rows

TILE = 256  # cells a side
MEAN = -1  # stands for the mean of all heads

Floats = NDArray[np.float32]


def rows_of(record: AttentionRecord, start: int, stop: int, head: int | None = None) -> Tensor:
    """The weights of queries ``start`` to ``stop`` over all keys: (H, rows, S) float32, or (1, rows, S) of one head."""
    return torch.cat([weights for _, weights in blocks(record, start, stop, head)], dim=1)


@torch.inference_mode()
def blocks(record: AttentionRecord, start: int, stop: int, head: int | None = None) -> Iterator[tuple[int, Tensor]]:
    """The same, some rows at a time: the first query of each block, and (H, rows, S)."""
    heads = None if head in (None, MEAN) else [head]
    for (first, _), weights in weight_rows(record.problem(), (start, stop), heads):
        yield first, weights[0].float()


def small_maps(record: AttentionRecord, size: int) -> Floats:
    """Every head's whole map (H, ≤ size, ≤ size), pooled where it is larger."""
    heads, queries, keys = record.q.shape[1], record.q.shape[2], record.k.shape[2]
    row_stride, column_stride = stride(queries, size), stride(keys, size)
    small = np.zeros((heads, -(-queries // row_stride), -(-keys // column_stride)), np.float32)
    for first, weights in blocks(record, 0, queries):
        pooled = pool(weights, 1, column_stride).cpu().numpy()
        for row in range(pooled.shape[1]):
            place = (first + row) // row_stride
            np.maximum(small[:, place], pooled[:, row], out=small[:, place])
    return small


def tile(record: AttentionRecord, head: int, corner: tuple[int, int], level: int) -> Floats:
    """At most ``TILE`` × ``TILE`` cells of one head's map, each the largest of 2^level × 2^level weights.

    ``corner`` counts cells of this level, as tiles do: row and column of the first one; behind the map there are none.
    ``MEAN`` for all heads' mean.
    """
    step = 1 << level
    (row, column), (queries, keys) = corner, (record.q.shape[2], record.k.shape[2])
    top, bottom = min(row * step, queries), min((row + TILE) * step, queries)
    left, right = min(column * step, keys), min((column + TILE) * step, keys)
    found = np.zeros((-(-(bottom - top) // step), -(-(right - left) // step)), np.float32)
    if not found.size:
        return found
    for first, weights in blocks(record, top, bottom, head):
        one = weights.mean(0, keepdim=True)[..., left:right]
        pooled = pool(one, 1, step)[0].cpu().numpy()
        for number in range(pooled.shape[0]):
            place = (first + number - top) // step
            np.maximum(found[place], pooled[number], out=found[place])
    return found


def looks_and_is_seen(record: AttentionRecord, head: int, *, query: int | None, key: int | None) -> dict[str, Floats]:
    """Where a query looks, (S,), and who looks at a key, (T,), in one head or in the mean of all."""
    found = {}
    if query is not None:
        found["looks"] = rows_of(record, query, query + 1, head).mean(0)[0].cpu().numpy()
    if key is not None:
        parts = [weights.mean(0)[:, key] for _, weights in blocks(record, 0, record.q.shape[2], head)]
        found["seen"] = torch.cat(parts).cpu().numpy()
    return found


def stride(length: int, size: int) -> int:
    """How many neighbours share a cell when ``length`` is shown in at most ``size`` cells; a power of two."""
    step = 1
    while -(-length // step) > size:
        step *= 2
    return step


def pool(weights: Tensor, rows: int, columns: int) -> Tensor:
    """(H, T, S) → (H, ⌈T/rows⌉, ⌈S/columns⌉) by the maximum."""
    if rows == columns == 1:
        return weights
    return torch.nn.functional.max_pool2d(weights[:, None], (rows, columns), ceil_mode=True)[:, 0]


def as_bytes(maps: NDArray[Any]) -> tuple[NDArray[np.uint8], Floats]:
    """Maps (H, r, c) as bytes, 255 standing for each head's largest weight; and those weights (H,)."""
    most = maps.reshape(len(maps), -1).max(1, initial=0.0).astype(np.float32)
    scaled = np.nan_to_num(maps / np.where(most > 0, most, 1.0)[:, None, None])
    return np.rint(scaled * 255).astype(np.uint8), most
