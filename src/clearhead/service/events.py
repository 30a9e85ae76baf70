"""What a whole run says beside its training: the data is ready, a held-out set is scored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from clearhead.training.events import Event


@dataclass(frozen=True, slots=True)
class CorpusReady(Event):
    """The training data is prepared.

    ``dropped`` and ``noted`` count lines by reason; ``vocabularies`` are the sizes, a single one when it is shared.
    """

    kind: ClassVar[str] = "corpus-ready"
    recorded: ClassVar[bool] = False

    pairs: int
    dropped: Mapping[str, int]
    noted: Mapping[str, int]
    vocabularies: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Scored(Event):
    """The kept weights on a held-out set, decoded as the recipe's ``[decoding]`` says.

    ``scores`` are from 0 to 100; ``details`` say how they came about (sacreBLEU's signatures, how many inputs were
    truncated, how many outputs unfinished, sentences per second).
    """

    kind: ClassVar[str] = "scored"
    recorded: ClassVar[bool] = False

    split: str
    pairs: int
    loss: float
    scores: Mapping[str, float]
    details: Mapping[str, float | int | str]
    seconds: float
