"""The pairs of "train", "valid" and "test", from files of their own or held out of the training file by sentence.

It brings together ``read``, which knows files, and ``pair_split``, which knows parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from clearhead.data.ledger import Ledger
from clearhead.data.pair import Pair
from clearhead.data.pair_split import ELSEWHERE, parts_in_numbers, read_part
from clearhead.data.read import data_paths, read_pairs
from clearhead.data.settings import PairData, PairFiles
from clearhead.data.split_settings import PairSplit


def part_files(data: PairData, part: str) -> PairFiles | None:
    """The files in which the pairs of ``part`` stand; None where the recipe speaks of no such part."""
    own = {"train": data.train, "valid": data.valid, "test": data.test}[part]
    if own is None and data.split is not None and getattr(data.split, part):
        return data.train
    return own


def read_part_pairs(data: PairData, part: str, folder: Path, ledger: Ledger) -> Iterator[Pair]:
    """The pairs of a part that is spoken of (``part_files``), as ``read.read_pairs`` gives them.

    Where the part is cut out of the training file, the pairs of other parts are counted as dropped.
    """
    files, split = part_files(data, part), data.split
    assert files is not None, f"the recipe speaks of no {part} data"
    if split is None or (part != "train" and files is not data.train):
        return read_pairs(files, folder, ledger)
    return _chosen(files, split, part, folder, ledger)


def split_in_numbers(data: PairData, folder: Path) -> dict[str, dict[str, int]]:
    """What each part of a split holds; nothing where there is no split."""
    if data.split is None:
        return {}
    return parts_in_numbers(read_pairs(data.train, folder, _silent(data)), data.split)


def _chosen(files: PairFiles, split: PairSplit, part: str, folder: Path, ledger: Ledger) -> Iterator[Pair]:
    path = data_paths(files, folder)[0]
    for pair, chosen in read_part(lambda ledger: read_pairs(files, folder, ledger), split, part, ledger):
        if chosen:
            yield pair
        else:
            ledger.drop(ELSEWHERE, path, pair.line)


def _silent(data: PairData) -> Ledger:
    return Ledger(strict=data.bad_lines == "refuse")
