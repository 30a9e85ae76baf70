"""Holds pairs out of a training file so that no sentence stands in two parts.

Where one sentence has several translations, or the reverse, a split by line would train on sentences of the test set.
Pairs that share a source or a target are therefore neighbours, and a part gets whole connected components of them.
Sentences count as equal whatever their case and white space. The same pairs, settings and seed give the same parts. It
knows pairs, not files' formats; 16 bytes are held in memory for each pair.

Legend: N pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from clearhead.data.ledger import Ledger
from clearhead.data.pair import Pair
from clearhead.data.split_settings import PairSplit
from clearhead.errors import DataError

PARTS = ("train", "valid", "test")
ELSEWHERE = "a pair of another part of the split"
Keys = NDArray[np.uint64]
Numbers = NDArray[np.int64]


def read_part(
    read: Callable[[Ledger], Iterator[Pair]], split: PairSplit, part: str, ledger: Ledger
) -> Iterator[tuple[Pair, bool]]:
    """Every pair that ``read`` gives, and whether it belongs to ``part``; reads twice, the first time unnoticed.

    Raises:
        DataError: the split leaves the part without a pair.
    """
    parts = assign(*sentence_keys(read(Ledger(strict=ledger.strict))), split)
    chosen = parts == PARTS.index(part)
    if not chosen.any():
        raise DataError(
            f"the split leaves no pair for {part}: {len(parts)} pairs in components that share sentences, shares "
            f"valid = {split.valid} and test = {split.test}; raise the share"
        )
    return zip(read(ledger), chosen.tolist(), strict=True)


def assign(sources: Keys, targets: Keys, split: PairSplit) -> NDArray[np.uint8]:
    """The part of each pair, (N,), as its number in ``PARTS``, from the keys of its two sentences."""
    components = connected(sources, targets)
    names, sizes = np.unique(components, return_counts=True)
    parts = np.zeros(len(names), dtype=np.uint8)
    room = {part: int(getattr(split, part) * len(components)) for part in PARTS[1:]}
    for place in np.random.default_rng(split.seed).permutation(len(names)):
        for part in reversed(PARTS[1:]):
            if sizes[place] <= room[part]:  # what does not fit, a giant component above all, is trained on
                room[part] -= int(sizes[place])
                parts[place] = PARTS.index(part)
                break
    return parts[np.searchsorted(names, components)]


def connected(sources: Keys, targets: Keys) -> Numbers:
    """(N,) the number of the first pair of each pair's component: equal where a chain of shared sentences joins them.

    Each round gives every pair the least label among those with its source, then its target, and follows labels to
    their own (Shiloach & Vishkin 1982), so that long chains take few rounds.
    """
    sides = [np.unique(keys, return_inverse=True)[1] for keys in (sources, targets)]
    labels = np.arange(len(sources), dtype=np.int64)
    while True:
        before = labels
        for groups in sides:
            least = np.full(groups.max(initial=-1) + 1, len(labels), dtype=np.int64)
            np.minimum.at(least, groups, labels)
            labels = labels[least[groups]]
        if np.array_equal(before, labels):
            return labels


def parts_in_numbers(pairs: Iterable[Pair], split: PairSplit) -> dict[str, dict[str, int]]:
    """What each part holds: pairs, different sources, different targets, components and the largest of them."""
    sources, targets = sentence_keys(pairs)
    parts = assign(sources, targets, split)
    components = connected(sources, targets)
    return {name: _numbers(sources, targets, components, parts == number) for number, name in enumerate(PARTS)}


def _numbers(sources: Keys, targets: Keys, components: Numbers, chosen: NDArray[np.bool_]) -> dict[str, int]:
    sizes = np.unique(components[chosen], return_counts=True)[1]
    return {
        "pairs": int(chosen.sum()),
        "sources": len(np.unique(sources[chosen])),
        "targets": len(np.unique(targets[chosen])),
        "components": len(sizes),
        "largest_component": int(sizes.max(initial=0)),
    }


def sentence_keys(pairs: Iterable[Pair]) -> tuple[Keys, Keys]:
    """A 64-bit hash of every source and of every target."""
    hashes = b"".join(_hash(text) for pair in pairs for text in (pair.source, pair.target))
    both = np.frombuffer(hashes, dtype="<u8").reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _hash(text: str) -> bytes:
    return blake2b(" ".join(text.casefold().split()).encode(), digest_size=8).digest()
