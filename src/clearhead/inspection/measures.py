"""What the heads of one attention do, in a few numbers a head: how widely they look, how far, and at which places.

    entropy    −Σ_s p log p in nats            diagonal, previous, next   share of the weight on s = t, t − 1, t + 1
    distance   Σ_s p |t − s| in positions      first                      share on the first key
                                               marked                     share on keys the caller marks (punctuation,
                                               …)

t is the query's place among the keys. Entropy and distance are means over the queries that see anything; a share is its
weight's sum over the queries divided by the sum of all weights. Any length: sums come from the map's summary and from a
band along the diagonal, never from the whole map. Across two sequences places are told as they are numbered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.inspection.digest import first_place
from clearhead.inspection.record import AttentionRecord

BAND = 64  # queries whose part of the diagonal is computed at once


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """Each (H,), float64; ``queries`` is how many saw anything."""

    entropy: Tensor
    distance: Tensor
    diagonal: Tensor
    previous: Tensor
    next: Tensor
    first: Tensor
    marked: Tensor
    queries: Tensor

    def as_dict(self) -> dict[str, list[float]]:
        """Plain numbers a head, by name."""
        return {field.name: getattr(self, field.name).tolist() for field in fields(self)}


def measure(record: AttentionRecord, marked: Tensor | None = None) -> Measures:
    """The measures of one call, all its sentences together; ``marked`` (S,) bool says which keys count as marked.

    Raises:
        ConfigurationError: ``marked`` is not one truth value a key.
    """
    if marked is not None and (marked.shape != (record.keys,) or marked.dtype != torch.bool):
        raise ConfigurationError(
            f"marked must say of each of the {record.keys} keys whether it counts, as booleans, "
            f"got {marked.dtype} of shape {tuple(marked.shape)}"
        )
    summary = record.summary
    seeing = (summary.log_normalizer > -torch.inf).double()
    queries = seeing.sum((0, 2))
    received = summary.received.double().sum(0)
    total = received.sum(-1).clamp(min=torch.finfo(torch.float64).tiny)
    same, before, after = (mass / total for mass in diagonals(record, (0, -1, 1)))
    return Measures(
        entropy=_mean(summary.entropy, queries),
        distance=_mean(summary.mean_distance, queries),
        diagonal=same,
        previous=before,
        next=after,
        first=received[:, :1].sum(-1) / total,
        marked=(received[:, marked].sum(-1) if marked is not None else torch.zeros_like(total)) / total,
        queries=queries,
    )


def together(measures: Sequence[Measures]) -> Measures:
    """The mean of several calls of the same attention, by how many queries each had."""
    queries = torch.stack([each.queries for each in measures])
    shares = queries / queries.sum(0).clamp(min=1)
    names = [field.name for field in fields(Measures) if field.name != "queries"]
    means = {name: (torch.stack([getattr(each, name) for each in measures]) * shares).sum(0) for name in names}
    return Measures(**means, queries=queries.sum(0))


def diagonals(record: AttentionRecord, shifts: Sequence[int]) -> list[Tensor]:
    """For each shift d the sum of weights on s = t + d over all queries and sentences, (H,) float64."""
    first = first_place(record.problem())
    sums = [torch.zeros(record.heads, dtype=torch.float64, device=record.q.device) for _ in shifts]
    for start in range(0, record.queries, BAND):
        rows = (start, min(start + BAND, record.queries))
        places = torch.arange(*rows, device=record.q.device) + first
        columns = (
            min(max(0, start + first + min(shifts)), record.keys),
            min(max(0, rows[1] + first + max(shifts)), record.keys),
        )
        tile = record.tile(rows, columns).double().sum(0)
        for total, shift in zip(sums, shifts, strict=True):
            here = places + shift - columns[0]
            inside = (here >= 0) & (here < columns[1] - columns[0])
            total += tile[:, inside.nonzero()[:, 0], here[inside]].sum(-1)
    return sums


def _mean(values: Tensor, queries: Tensor) -> Tensor:
    """The mean of (B, H, T) over sentences and queries; queries that see nothing have 0 and are not counted."""
    return values.double().sum((0, 2)) / queries.clamp(min=1)
