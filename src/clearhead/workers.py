"""Work side by side: several threads with their share of the cores, instead of one whose every operation is shared out.

The operations of a small model are small, so sharing each among cores costs much of what it gains, and on a busy
machine nearly everything: all wait for the slowest. Batches need nothing of each other. Knows nothing of what is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")


def useful_workers(device: torch.device | str) -> int:
    """As many as torch may use threads, on a CPU; one elsewhere, and under autocast, which other threads do not see."""
    if torch.device(device).type != "cpu" or torch.is_autocast_enabled("cpu"):
        return 1
    return torch.get_num_threads()


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item], workers: int) -> list[Result]:
    """``work`` of every item, in order; the first error ends it all."""
    if workers == 1 or len(items) < 2:
        return [work(item) for item in items]
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(
            workers, initializer=torch.set_num_threads, initargs=(max(1, threads // workers),)
        ) as pool:
            return list(pool.map(work, items))
    finally:
        torch.set_num_threads(threads)  # the number that threads of others begin with, which the workers have changed
