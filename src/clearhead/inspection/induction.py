"""Which heads copy: attention on text that repeats itself, made of random tokens so that nothing else can help.

A row is n random tokens twice over. At a token of the second half an induction head looks at what came after the same
token in the first half, so that it can be told again (Olsson et al. 2022, arXiv 2209.11895, "prefix matching"); a
duplicate-token head looks at the same token itself (Wang et al. 2022, arXiv 2211.00593). The scores are the mean
weights there; a head that spreads evenly has about 1 / n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.capture import capture
from clearhead.inspection.record import AttentionRecord


@dataclass(frozen=True, slots=True, eq=False)
class Copying:
    """Mean weights (H,): on the token after the earlier copy, and on the earlier copy itself."""

    induction: Tensor
    duplicate: Tensor


def copying_scores(
    model: nn.Module,
    forward: Callable[[Tensor], object],
    vocabulary: Sequence[int],
    *,
    length: int = 25,
    rows: int = 4,
    start: Sequence[int] = (),
    seed: int = 0,
) -> dict[str, Copying]:
    """The scores of every self-attention by name.

    ``forward`` runs ids (rows, T) through ``model``; tokens are drawn from ``vocabulary`` without repetition in a half,
    and ``start`` stands in front of them.

    Raises:
        ConfigurationError: a half is shorter than 2, or the vocabulary too small for one.
    """
    if length < 2 or len(vocabulary) < length:
        raise ConfigurationError(
            f"length must be at least 2 and at most the {len(vocabulary)} tokens to draw from, got {length}"
        )
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.stack([torch.randperm(len(vocabulary), generator=generator)[:length] for _ in range(rows)])
    half = torch.tensor(list(vocabulary))[drawn]
    ids = torch.cat((torch.tensor([list(start)] * rows, dtype=torch.int64).view(rows, -1), half, half), dim=1)
    device = next(model.parameters()).device
    with torch.inference_mode(), capture(model) as seen:
        forward(ids.to(device))
    return {
        name: _copying(record, len(start), length) for name, record in seen.records.items() if record.kind == "self"
    }


def _copying(record: AttentionRecord, start: int, length: int) -> Copying:
    """Queries of the second half but the last, whose next token would be another row's affair."""
    rows = (start + length, start + 2 * length - 1)
    weights = record.tile(rows, (start, start + length))
    queries = torch.arange(length - 1, device=weights.device)
    return Copying(
        induction=weights[:, :, queries, queries + 1].mean((0, 2)),
        duplicate=weights[:, :, queries, queries].mean((0, 2)),
    )
