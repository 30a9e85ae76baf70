"""What a training run says while it runs: small frozen values that a command line, a page or a notebook can show.

Each has ``kind`` and ``as_dict`` (JSON-able; NaN and infinities as the words "nan", "inf", "-inf"). ``recorded`` tells
whether an event belongs to the history of the run, and so to ``metrics.jsonl``, or only to this process: saves and
interruptions do not belong there, so that the history of an interrupted and resumed run is that of one never stopped.
Losses are in nats per target token. Seconds are those spent in the run so far, over all interruptions.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar


@dataclasses.dataclass(frozen=True, slots=True)
class Validation:
    """What a validation found: unsmoothed loss, scores by name, examples as (source, reference, output)."""

    loss: float
    scores: Mapping[str, float] = dataclasses.field(default_factory=dict)
    examples: tuple[tuple[str, str, str], ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that happened after ``update`` updates."""

    kind: ClassVar[str]
    recorded: ClassVar[bool] = True

    update: int

    def as_dict(self) -> dict[str, Any]:
        """The event as plain values, its kind under "event"."""
        return {"event": self.kind} | {
            field.name: plain(getattr(self, field.name)) for field in dataclasses.fields(self)
        }


@dataclasses.dataclass(frozen=True, slots=True)
class Started(Event):
    """Training begins or goes on; ``passed_over`` says which newer checkpoints were not fit for that, and why.

    ``trained`` of the ``parameters`` are trained, the others frozen.
    """

    kind: ClassVar[str] = "started"
    recorded: ClassVar[bool] = False

    updates: int
    parameters: int
    precision: str
    threads: int
    device: str
    resumed: bool = False
    passed_over: tuple[str, ...] = ()
    trained: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Progressed(Event):
    """Means since the last such event. ``padding`` is the share of padding in the batches, both sides together.

    ``gradient_norm`` is that of the last update, before clipping. ``tokens`` are target tokens of the whole run so far.
    """

    kind: ClassVar[str] = "progressed"

    updates: int
    epoch: int
    loss: float
    nll: float
    learning_rate: float
    gradient_norm: float
    tokens: int
    padding: float
    tokens_per_second: float
    seconds: float
    seconds_left: float


@dataclasses.dataclass(frozen=True, slots=True)
class Validated(Event):
    """The held-out loss and scores; ``improved`` where the watched one is the best so far."""

    kind: ClassVar[str] = "validated"

    loss: float
    perplexity: float
    scores: Mapping[str, float]
    improved: bool
    examples: tuple[tuple[str, str, str], ...]
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Saved(Event):
    """A checkpoint is on the disk and was read back."""

    kind: ClassVar[str] = "saved"
    recorded: ClassVar[bool] = False

    path: str
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class SaveFailed(Event):
    """A checkpoint or snapshot could not be written; earlier ones are intact and training goes on."""

    kind: ClassVar[str] = "save-failed"
    recorded: ClassVar[bool] = False

    reason: str
    in_a_row: int


@dataclasses.dataclass(frozen=True, slots=True)
class Skipped(Event):
    """Loss or gradient was not finite: weights and moments were left as they were. The raw values are given."""

    kind: ClassVar[str] = "skipped"

    loss: float
    gradient_norm: float
    in_a_row: int


@dataclasses.dataclass(frozen=True, slots=True)
class Spiked(Event):
    """The loss jumped far out of its recent range: ``usual`` is the recent median, ``score`` the robust z-score."""

    kind: ClassVar[str] = "spiked"

    loss: float
    usual: float
    score: float


@dataclasses.dataclass(frozen=True, slots=True)
class Split(Event):
    """Memory ran out: the update was redone with its batches cut into ``parts``; its gradient is the same."""

    kind: ClassVar[str] = "split"

    parts: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Interrupted(Event):
    """A stop was asked for; everything up to ``update`` is saved. ``signal`` is its number, 0 where there was none."""

    kind: ClassVar[str] = "interrupted"
    recorded: ClassVar[bool] = False

    signal: int
    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class Finished(Event):
    """Training is over. ``reason`` is "updates", "epochs" or "patience"; ``kept`` says which weights were written.

    ``candidates`` gives the watched score of each kind of weights that was compared, ``sha256`` is that of the file,
    ``trained`` counts the parameters that were trained.
    """

    kind: ClassVar[str] = "finished"

    reason: str
    kept: str
    candidates: Mapping[str, float]
    tokens: int
    seconds: float
    sha256: str
    trained: int = 0


def plain(value: Any) -> Any:
    """``value`` as JSON has it: mappings and sequences copied, numbers that JSON lacks as words."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value
