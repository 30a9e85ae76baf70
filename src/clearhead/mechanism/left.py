"""What is left of an attention whose heads were pruned in part: which heads, and which keys and values each reads.

A key/value head that several query heads share goes only when all of these are gone. Where those that stay share them
unevenly, no grouped kernel fits, so keys and values are spread out to one a query head; the weights stay shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Left:
    """``heads``: H numbers among those an attention was built with; ``reads``: the key/value head of each, G in all."""

    heads: tuple[int, ...]
    reads: tuple[int, ...]

    @classmethod
    def whole(cls, heads: int, groups: int) -> Left:
        """All heads, evenly grouped."""
        return cls(tuple(range(heads)), tuple(head // (heads // groups) for head in range(heads)))

    @property
    def groups(self) -> int:
        """G, the key/value heads that are left."""
        return len(set(self.reads))

    @property
    def even(self) -> bool:
        """Whether every key/value head is read by as many heads as any other, in order."""
        share, rest = divmod(len(self.heads), self.groups)
        return rest == 0 and all(read == head // share for head, read in enumerate(self.reads))

    def sources(self, heads: Sequence[int]) -> list[int]:
        """The key/value heads that these heads read, in order."""
        return sorted({self.reads[head] for head in heads})

    def take(self, heads: Sequence[int]) -> Left:
        """What is left when of those here only ``heads`` stay."""
        places = {read: place for place, read in enumerate(self.sources(heads))}
        return Left(tuple(self.heads[head] for head in heads), tuple(places[self.reads[head]] for head in heads))

    def spread(self, x: Tensor) -> Tensor:
        """Keys or values (B, G, S, ·), one a query head where these share them unevenly."""
        return x if self.even else x[:, list(self.reads)]
