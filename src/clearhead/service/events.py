"""What a whole run says beside its training: the data is ready, a held-out set is scored."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from clearhead.training.events import Event


@dataclasses.dataclass(frozen=True, slots=True)
class CorpusReady(Event):
    """The training data is prepared: ``count`` of what ``unit`` says.

    ``dropped`` and ``noted`` count records by reason; ``vocabularies`` are the sizes of what was learnt from the data,
    a single one when it is shared; ``counted`` says what the loss counts.
    """

    kind: ClassVar[str] = "corpus-ready"
    recorded: ClassVar[bool] = False

    count: int
    unit: str
    counted: str
    dropped: Mapping[str, int]
    noted: Mapping[str, int]
    vocabularies: tuple[int, ...]
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Scored(Event):
    """The kept weights on a held-out set of ``count`` ``unit``, answering as the recipe says.

    ``scores`` are from 0 to 100 where they are shares; ``details`` say how they came about (signatures, how many inputs
    were truncated, how many a second); ``tables`` hold what is more than a number, such as scores by class.
    """

    kind: ClassVar[str] = "scored"
    recorded: ClassVar[bool] = False

    split: str
    count: int
    unit: str
    loss: float
    scores: Mapping[str, float]
    details: Mapping[str, float | int | str]
    seconds: float
    tables: Mapping[str, Any] = dataclasses.field(default_factory=dict)
