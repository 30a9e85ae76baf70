"""Every head of one input in a few numbers: ``inspection.measures``'s, and how large a query's largest weight is.

Places mean nothing across two sequences, so what goes by them is told of a text that looks at itself only. In a decoder
a place counts what it was fed: "diagonal" is the weight on the symbol it had just read.
"""

from __future__ import annotations

from dataclasses import dataclass

from clearhead.inspection.measures import measure
from clearhead.inspection.record import AttentionRecord
from clearhead.service.looking.seen import Seen

ANYWHERE = ("entropy", "first")
BY_PLACE = ("distance", "diagonal", "previous", "next")


@dataclass(frozen=True)
class HeadMeasures:
    """One head; ``values`` by name."""

    attention: str
    head: int
    values: dict[str, float]


def measures(seen: Seen) -> list[HeadMeasures]:
    """Every head of every attention of ``seen``, in the model's order; computed once."""
    if "measures" not in seen.cache:
        seen.cache["measures"] = [each for record in seen.records.values() for each in _of(record)]
    found: list[HeadMeasures] = seen.cache["measures"]
    return found


def _of(record: AttentionRecord) -> list[HeadMeasures]:
    measured = measure(record).as_dict()
    names = (*ANYWHERE, *BY_PLACE) if record.kind == "self" else ANYWHERE
    largest = record.summary.top_weights[0, :, :, 0].double().sum(-1)
    return [
        HeadMeasures(
            record.name,
            head,
            {name: measured[name][head] for name in names}
            | {"largest": float(largest[head]) / max(1.0, measured["queries"][head])},
        )
        for head in range(record.heads)
    ]
