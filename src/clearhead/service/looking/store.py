"""What was looked at, kept while there is room: the least recently asked for goes first. Safe among threads."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from clearhead.service.looking.seen import Seen

BUDGET = 512 << 20  # bytes


class Store:
    """Views by the key of their request, at most ``budget`` bytes of them; the newest stays, whatever its size."""

    def __init__(self, budget: int = BUDGET) -> None:
        self._budget = budget
        self._kept: OrderedDict[str, Seen] = OrderedDict()
        self._lock = Lock()

    def get(self, key: str) -> Seen | None:
        """What is kept under ``key``; it counts as used now."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, seen: Seen) -> None:
        """Keep ``seen``, and let go of what no longer fits beside it."""
        with self._lock:
            self._kept[seen.asked.key] = seen
            self._kept.move_to_end(seen.asked.key)
            while len(self._kept) > 1 and sum(each.size for each in self._kept.values()) > self._budget:
                self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)
