"""Steps of one hypothesis put together: what a cached decoder computed a position at a time, as one record of them all.

A step of self-attention has one query a row and adds one key and value; a step of cross-attention has one query for
each hypothesis of a sentence, over keys that stay. Knows no search: which rows belong together is told.

Legend: B sentences, C hypotheses a sentence, N = B · C rows, P tokens that were read at once before the first step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from clearhead.inspection.record import AttentionRecord
from clearhead.inspection.stream import Stream
from clearhead.mechanism.biases import as_bias
from clearhead.mechanism.masks import as_mask


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One step of one attention for all rows; in self-attention, k and v are the newest alone.

    ``allowed`` and ``bias`` are the step's row of the map, (…, 1, keys so far), None where there is none;
    ``hypotheses`` is how many there were of each sentence, C.
    """

    record: AttentionRecord
    allowed: Tensor | None
    bias: Tensor | None
    hypotheses: int


Place = tuple[Part, int, int]  # the step, the sentence's row in it, the hypothesis' number there


def newest(record: AttentionRecord, hypotheses: int) -> Part:
    """A step as it is to be kept: without the past, and nothing of a cache's buffer held."""
    row, keys, device = (0, record.queries), (0, record.keys), record.q.device
    allowed = None if record.mask is None else record.mask.tile(row, keys, device)
    bias = None if record.bias is None else as_bias(record.bias).tile(row, keys, device)
    if record.kind == "self":
        record = replace(record, k=record.k[:, :, -1:].clone(), v=record.v[:, :, -1:].clone())
    return Part(replace(record, mask=None, bias=None), allowed, bias, hypotheses)


def of_sentence(record: AttentionRecord, sentence: int) -> AttentionRecord:
    """One sentence of a batch's record, by itself."""
    full, device = (record.q.shape[0], record.heads, record.queries, record.keys), record.q.device
    mask, bias = record.mask, None if record.bias is None else as_bias(record.bias)
    if mask is not None and mask.shape(full)[0] > 1:
        mask = as_mask(mask.full(*full[2:], device)[sentence : sentence + 1])
    if bias is not None and bias.shape(full)[0] > 1:
        bias = as_bias(bias.full(*full[2:], device)[sentence : sentence + 1])
    q, k, v, mixed = (x[sentence : sentence + 1] for x in (record.q, record.k, record.v, record.mixed))
    return replace(record, q=q, k=k, v=v, mixed=mixed, mask=mask, bias=bias)


def joined_record(read: AttentionRecord | None, places: Sequence[Place]) -> AttentionRecord:
    """One hypothesis' record, batch size 1: ``read`` (its P tokens at once, where there were some), then its steps."""
    return _cross(places) if places[0][0].record.kind == "cross" else _self(read, places)


def joined_stream(read: Stream, steps: Sequence[tuple[Stream, int, int]], sentence: int) -> Stream:
    """Every station's stream (T, W): what was read at once, then the steps."""
    found = {name: stream[sentence] for name, stream in read.items()}
    for name in steps[0][0]:
        stepped = torch.stack([stream[name][row, hypothesis] for stream, row, hypothesis in steps])
        found[name] = torch.cat((found[name], stepped)) if name in found else stepped
    return found


def _cross(places: Sequence[Place]) -> AttentionRecord:
    last, row, _ = places[-1]
    at = slice(row, row + 1)
    q, mixed = (
        torch.cat([getattr(part.record, name)[n : n + 1, :, c : c + 1] for part, n, c in places], dim=2)
        for name in ("q", "mixed")
    )
    allowed = None if last.allowed is None else _of_row(last.allowed, row)[:, :, :1]
    mask = None if allowed is None else as_mask(allowed)
    return replace(last.record, q=q, k=last.record.k[at], v=last.record.v[at], mixed=mixed, mask=mask)


def _self(read: AttentionRecord | None, places: Sequence[Place]) -> AttentionRecord:
    rows = [(part, row * part.hypotheses + hypothesis) for part, row, hypothesis in places]
    before = [] if read is None else [read]
    q, k, v, mixed = (
        torch.cat(
            [getattr(record, name) for record in before] + [getattr(part.record, name)[n : n + 1] for part, n in rows],
            dim=2,
        )
        for name in ("q", "k", "v", "mixed")
    )
    mask, bias = as_mask(_allowed(read, rows)), _bias(read, rows)
    biased = None if bias is None else as_bias(bias)
    return replace(rows[0][0].record, q=q, k=k, v=v, mixed=mixed, mask=mask, bias=biased)


def _allowed(read: AttentionRecord | None, rows: Sequence[tuple[Part, int]]) -> Tensor:
    """Who saw whom, (1, 1 or H, T, T): each step the keys there were by then, as far as its own row allowed."""
    first = rows[0][0].record.q
    true = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=first.device)
    pieces = [true if part.allowed is None else _of_row(part.allowed, n) for part, n in rows]
    before = None if read is None or read.mask is None else read.mask.full(read.queries, read.keys, first.device)
    return _map(read, pieces, true if read is not None and before is None else before)


def _bias(read: AttentionRecord | None, rows: Sequence[tuple[Part, int]]) -> Tensor | None:
    """What was added to the scores, (1, 1 or H, T, T), 0 where nothing is seen anyway; None where nothing was."""
    pieces = [_of_row(part.bias, n) for part, n in rows if part.bias is not None]
    if not pieces:
        return None
    before = None if read is None or read.bias is None else read.bias.full(read.queries, read.keys, pieces[0].device)
    return _map(read, pieces, before)


def _map(read: AttentionRecord | None, pieces: Sequence[Tensor], before: Tensor | None) -> Tensor:
    """A whole map from its first rows, those that were ``read`` at once, and one row a step behind them."""
    start = 0 if read is None else read.queries
    count = start + len(pieces)
    whole = pieces[0].new_zeros(1, max(piece.shape[1] for piece in pieces), count, count)
    if before is not None:
        whole[:, :, :start, :start] = before
    for number, piece in enumerate(pieces, start=start):
        whole[:, :, number, : number + 1] = piece[:, :, 0]
    return whole


def _of_row(given: Tensor, row: int) -> Tensor:
    """One row of something whose first dimension is that of a batch, or 1."""
    return given if given.shape[0] == 1 else given[row : row + 1]
