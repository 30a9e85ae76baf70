"""Word alignments of a run: of which pairs, read off where, and how far from gold they are.

Where nothing is said of the place, it is found on the run's own validation pairs, without gold; or, with gold for the
given pairs, on the first ``tune`` of them, and the error rate is that of the others alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from clearhead.errors import ConfigurationError, DataError
from clearhead.inspection.alignment import Gold, error_rate, read_gold, written
from clearhead.service.alignments import Aligned, Best, Pair, Place, align, best_place
from clearhead.service.load import load
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks.table import TASKS
from clearhead.service.tasks.translation import HeldOutPairs

VALIDATION = 200  # pairs are enough to tell places apart


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to align: files as the run's recipe names them; gold links, their first number; where to read, if it is
    known.
    """

    data: Sequence[Path]
    gold: Path | None = None
    first: int = 0
    tune: int = 0
    place: Place | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AlignedRun:
    """Every pair's alignment, the place, how it was chosen (None: it was given), and the error rate where gold says."""

    alignments: tuple[Aligned, ...]
    place: Place
    choice: Best | None
    tuned: int
    error_rate: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "attention": self.place.attention,
            "head": self.place.head,
            "row": self.place.row,
            "chosen_by": None if self.choice is None else "error rate" if self.choice.by_gold else "mutual information",
            "tuned_on": self.tuned,
            "alignment_error_rate": self.error_rate,
            "alignments": [
                {"source": list(each.source), "target": list(each.target), "links": written(each.links)}
                for each in self.alignments
            ],
        }


def align_run(path: Path, wanted: Wanted) -> AlignedRun:
    """Align pairs with a finished run that translates.

    Raises:
        ConfigurationError: the run does not translate, or ``tune`` asks for more pairs than there are with gold.
        DataError: a file cannot be read, or gold and pairs are not as many.
    """
    predictor, pairs = load(path), given_pairs(path, wanted.data)
    gold = None if wanted.gold is None else read_gold_file(wanted.gold, len(pairs), wanted.first)
    choice, place = None, wanted.place
    if wanted.tune and (gold is None or wanted.tune >= len(pairs)):
        raise ConfigurationError(
            f"--tune {wanted.tune}: expected fewer than the {len(pairs)} pairs, and gold links for them with --gold"
        )
    if place is None:
        choice = (
            best_place(predictor, pairs[: wanted.tune], gold[: wanted.tune])
            if gold is not None and wanted.tune
            else best_place(predictor, validation_pairs(path))
        )
        place = choice.place
    found = align(predictor, pairs, place)
    rate = None
    if gold is not None:
        rate = error_rate([set(each.links) for each in found[wanted.tune :]], gold[wanted.tune :])
    return AlignedRun(tuple(found), place, choice, wanted.tune, rate)


def given_pairs(path: Path, data: Sequence[Path]) -> list[Pair]:
    """The pairs of files named by hand."""
    recipe = _translation(path)
    return _pairs(cast(HeldOutPairs, TASKS[recipe.task].given(recipe, data)))


def validation_pairs(path: Path, most: int = VALIDATION) -> list[Pair]:
    """The first pairs of a run's validation data.

    Raises:
        DataError: its recipe names none.
    """
    recipe = _translation(path)
    held_out = TASKS[recipe.task].read(recipe, "valid")
    if held_out is None:
        raise DataError(f"{path}: its recipe names no validation data to find the best attention on: say --attention")
    return _pairs(cast(HeldOutPairs, held_out))[:most]


def read_gold_file(path: Path, pairs: int, first: int) -> list[Gold]:
    """Gold links, a line a pair.

    Raises:
        DataError: the file cannot be read, a line is no alignment, or there are not as many lines as pairs.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    lines = lines[:-1] if lines and not lines[-1].strip() else lines
    if len(lines) != pairs:
        raise DataError(f"{path}: expected a line of links for each of the {pairs} pairs, got {len(lines)}")
    return [_gold(line, path, number, first) for number, line in enumerate(lines, start=1)]


def _gold(line: str, path: Path, number: int, first: int) -> Gold:
    try:
        return read_gold(line, first=first)
    except DataError as error:
        raise DataError(f"{path}:{number}: {error}") from None


def _translation(path: Path) -> Any:
    recipe = RunFolder.open(path).recipe()
    if recipe.task != "translation":
        raise ConfigurationError(f"{path} is a run of the task {recipe.task!r}; only translations can be aligned")
    return recipe


def _pairs(held_out: HeldOutPairs) -> list[Pair]:
    return list(zip(held_out.sources, held_out.references, strict=True))
