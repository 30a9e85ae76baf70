"""Finds repeated pairs among any number of them in bounded memory.

Each pair leaves a 64-bit hash in a file (8 bytes of disk a row, and 1 for its mark). The hashes are then sorted in
portions small enough for memory, equal hashes always in the same portion. Two different pairs among N are taken for
the same with a probability of about N² / 2^65: 3 in 100,000 for thirty million pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clearhead.data.pair import Pair

_HASH = np.dtype("<u8")
_PORTION = 1 << 21
_CHUNK = 1 << 18


def pair_hashes(pairs: Sequence[Pair]) -> bytes:
    """8 bytes for each pair. Text holds no NUL (it is refused on reading), so a NUL can stand between the sides."""
    return b"".join(blake2b(f"{pair.source}\0{pair.target}".encode(), digest_size=8).digest() for pair in pairs)


def mark_repeats(hashes: Path, marks: Path) -> NDArray[np.bool_]:
    """(N,) True where an earlier row has the same hash, memory-mapped from the new file ``marks``."""
    rows = hashes.stat().st_size // _HASH.itemsize
    repeated = np.memmap(marks, dtype=np.bool_, mode="w+", shape=(rows,))
    portions = -(-rows // _PORTION)
    for portion in range(portions):
        keys, places = _portion(hashes, portion, portions)
        order = np.argsort(keys, kind="stable")
        same = keys[order[1:]] == keys[order[:-1]]
        repeated[places[order[1:][same]]] = True
    return repeated


def _portion(hashes: Path, portion: int, portions: int) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The hashes that fall into one portion and the rows they belong to, rows ascending."""
    keys, places, first = [], [], 0
    with hashes.open("rb") as file:
        while data := file.read(_CHUNK * _HASH.itemsize):
            part = np.frombuffer(data, _HASH)
            chosen = np.flatnonzero(part % portions == portion)
            keys.append(part[chosen])
            places.append(chosen + first)
            first += len(part)
    return np.concatenate(keys), np.concatenate(places)
