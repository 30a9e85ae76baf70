"""Every head of one input in a few numbers, over blocks of rows so that a long input needs no whole map.

    entropy    −Σ_s p log p in nats                    distance   Σ_s p |t − s|, in a text that looks at itself
    largest    the largest weight of a query           same, previous, next, first   weight on s = t, t − 1, t + 1, 0

Each is the mean over the queries that see anything. ``distance`` and its kin mean nothing across two sequences and are
left out there. In a decoder t counts what it was fed: "same" is the symbol it had just read.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.inspection.record import AttentionRecord
from clearhead.service.looking.maps import blocks
from clearhead.service.looking.seen import Seen


@dataclass(frozen=True)
class HeadMeasures:
    """One head; ``values`` by name."""

    attention: str
    head: int
    values: dict[str, float]


def measures(seen: Seen) -> list[HeadMeasures]:
    """Every head of every attention of ``seen``, in the model's order."""
    found = []
    for facts in seen.attentions:
        record = seen.records[facts.name]
        table = _of(record, itself=record.kind == "self")
        for head in range(facts.heads):
            found.append(HeadMeasures(facts.name, head, {name: float(values[head]) for name, values in table.items()}))
    return found


def _of(record: AttentionRecord, *, itself: bool) -> dict[str, Tensor]:
    totals: dict[str, Tensor] = {}
    seeing = torch.zeros(record.q.shape[1], dtype=torch.float64)
    for first, weights in blocks(record, 0, record.q.shape[2]):
        weights = weights.double().cpu()
        seeing += (weights.sum(-1) > 0).sum(-1)
        for name, rows in _rows(weights, first, itself=itself).items():
            totals[name] = totals.get(name, torch.zeros_like(seeing)) + rows.sum(-1)
    return {name: total / seeing.clamp(min=1) for name, total in totals.items()}


def _rows(weights: Tensor, first: int, *, itself: bool) -> dict[str, Tensor]:
    """Each measure of each query, (H, T), from weights (H, T, S) of queries ``first`` and on."""
    found = {
        "entropy": -torch.special.xlogy(weights, weights).sum(-1),
        "largest": weights.amax(-1),
        "first": weights[..., 0],
    }
    if itself:
        t = torch.arange(first, first + weights.shape[1])[:, None]
        away = torch.arange(weights.shape[2])[None] - t
        found["distance"] = (weights * away.abs()).sum(-1)
        for name, step in (("same", 0), ("previous", -1), ("next", 1)):
            found[name] = weights.masked_fill(away != step, 0.0).sum(-1)
    return found
