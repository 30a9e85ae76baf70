"""How far a run has come: all of its state that is not a tensor, and its form as JSON.

Floats survive JSON to the bit. What is not in here (or among the tensors of a checkpoint) does not exist after a
resume.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from clearhead.training.durable import Digest
from clearhead.training.stream import Place


@dataclasses.dataclass(frozen=True, slots=True)
class Best:
    """The best validation so far: after which update, and the watched score."""

    update: int
    score: float


@dataclasses.dataclass(slots=True)
class Window:
    """Sums since progress was last told.

    ``tokens`` are the target tokens that ``loss`` and ``nll`` are summed over, ``timed`` those that took ``seconds``,
    skipped updates among them. ``real`` and ``cells`` count both sides: tokens, and room for tokens.
    """

    loss: float = 0.0
    nll: float = 0.0
    tokens: int = 0
    timed: int = 0
    real: int = 0
    cells: int = 0
    seconds: float = 0.0


@dataclasses.dataclass(slots=True)
class Course:
    """The state of a run after ``update`` updates.

    ``place`` is the next batch; ``skipped`` counts updates without effect in a row, ``worse`` validations since the
    best; ``validated`` is the last update that was validated; ``snapshots`` are the updates whose weights are to be
    averaged, oldest first; ``weights`` gives the digest of every weights file that is still needed, by update;
    ``losses`` are the recent ones; ``seconds`` were spent up to now.
    """

    update: int = 0
    place: Place = dataclasses.field(default_factory=Place)
    tokens: int = 0
    seconds: float = 0.0
    skipped: int = 0
    worse: int = 0
    validated: int = 0
    best: Best | None = None
    snapshots: list[int] = dataclasses.field(default_factory=list)
    weights: dict[int, Digest] = dataclasses.field(default_factory=dict)
    losses: list[float] = dataclasses.field(default_factory=list)
    window: Window = dataclasses.field(default_factory=Window)
    gradient_norm: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self) | {"place": self.place._asdict()}

    @classmethod
    def from_dict(cls, table: Mapping[str, Any]) -> Course:
        """The inverse of ``as_dict``, also after a way through JSON."""
        course = cls(**{name: table[name] for name in (field.name for field in dataclasses.fields(cls))})
        course.place = Place(**table["place"])
        course.best = Best(**table["best"]) if table["best"] else None
        course.weights = {int(update): Digest(**digest) for update, digest in table["weights"].items()}
        course.window = Window(**table["window"])
        return course

    def forget_unneeded_weights(self) -> None:
        """Keep digests only of the best and of the snapshots to be averaged."""
        needed = {*self.snapshots, *([self.best.update] if self.best else [])}
        self.weights = {update: digest for update, digest in self.weights.items() if update in needed}
