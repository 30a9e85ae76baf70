"""The declared policies for pairs that can be read but not used as they are: blank, or too long. All are counted.

It knows the settings and the ledger; it neither reads nor writes files, and does not know how text is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from clearhead.data.ledger import Ledger
from clearhead.data.pair import Pair
from clearhead.data.settings import PairData
from clearhead.errors import DataError

SIDES = ("source", "target")
Rows = list[list[int]]


class Policy:
    """Decides, pair by pair, what goes on; writes down what does not."""

    def __init__(
        self, settings: PairData, paths: Sequence[Path], ledger: Ledger, around: tuple[int, int] = (1, 1)
    ) -> None:
        """``paths``: the file of the source and of the target, or the one file of both.

        ``around``: how many special tokens each side gets, such as the end symbol; they count.
        """
        self._settings = settings
        self._paths = (paths[0], paths[-1])
        self._ledger = ledger
        self._around = around
        self.longest = settings.max_length - around[0], settings.max_length - around[1]

    def without_blanks(self, pairs: Sequence[Pair]) -> list[Pair]:
        """The pairs whose sides both hold more than white space.

        Raises:
            DataError: a side is blank and ``empty`` is "refuse".
        """
        return [pair for pair in pairs if not self._blank(pair)]

    def within_length(self, pairs: Sequence[Pair], sources: Rows, targets: Rows) -> tuple[list[Pair], Rows, Rows]:
        """The pairs whose sides both fit into ``max_length`` tokens, cut to fit where ``too_long`` says so.

        Raises:
            DataError: a side is too long and ``too_long`` is "refuse".
        """
        kept = [
            (pair, source[: self.longest[0]], target[: self.longest[1]])
            for pair, source, target in zip(pairs, sources, targets, strict=True)
            if self._fits(pair, (len(source), len(target)))
        ]
        return [entry[0] for entry in kept], [entry[1] for entry in kept], [entry[2] for entry in kept]

    def repeated(self, line: int) -> None:
        """The pair of this line has been there before."""
        write_down = self._ledger.drop if self._settings.duplicates == "drop" else self._ledger.note
        write_down("a repeated pair", self._paths[0], line)

    def _blank(self, pair: Pair) -> bool:
        blank = [side for side, text in zip(SIDES, (pair.source, pair.target), strict=True) if not text.strip()]
        if not blank:
            return False
        path = self._paths[SIDES.index(blank[0])]
        if self._settings.empty == "refuse":
            raise DataError(f'{path}:{pair.line}: the {blank[0]} is blank; give it text, or set empty = "drop"')
        self._ledger.drop(f"a blank {' and '.join(blank)}", path, pair.line)
        return True

    def _fits(self, pair: Pair, lengths: tuple[int, int]) -> bool:
        over = [length > longest for length, longest in zip(lengths, self.longest, strict=True)]
        if not any(over):
            return True
        number = over.index(True)
        path, side, limit = self._paths[number], SIDES[number], self._settings.max_length
        if self._settings.too_long == "refuse":
            raise DataError(
                f"{path}:{pair.line}: the {side} has {lengths[number] + self._around[number]} tokens with its special "
                f'symbols, max_length is {limit}; raise it, or set too_long = "drop" or "truncate"'
            )
        if self._settings.too_long == "truncate":
            self._ledger.note(f"a {side} cut to {limit} tokens", path, pair.line)
            return True
        self._ledger.drop(f"a {side} of more than {limit} tokens", path, pair.line)
        return False
