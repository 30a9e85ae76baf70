"""The tokens of one input as points in a plane: the two principal components (Pearson, 1901) of their vectors, be they
rows of the embedding or what has become of them in the residual stream.

The axes are those along which these very rows differ most, so a distance on the picture is a distance among these
tokens and says nothing of the rest of the vocabulary. Each axis is turned so that its largest entry is positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.service.looking.seen import EMBEDDED, Seen


@dataclass(frozen=True, eq=False)
class Points:
    """Places (n, 2) at ``station``, one of ``stations``; the side and the position of each.

    ``explained`` is the share of the variance along each axis.
    """

    station: str
    stations: tuple[str, ...]
    places: NDArray[np.float32]
    sides: tuple[str, ...]
    positions: tuple[int, ...]
    labels: tuple[str, ...]
    explained: tuple[float, float]


def points(seen: Seen, station: str = EMBEDDED) -> Points:
    """The tokens of ``seen`` at one station; without vectors there, no points.

    Raises:
        ConfigurationError: there is no such station.
    """
    if station not in seen.rows:
        raise ConfigurationError(f"station: expected one of {', '.join(seen.rows)}, got {station!r}")
    by_side = seen.rows[station]
    rows = [(side, place) for side, x in by_side.items() for place in range(len(x))]
    places, explained = principal(torch.cat(list(by_side.values())) if rows else torch.zeros(0, 2))
    return Points(
        station,
        tuple(seen.rows),
        places.cpu().numpy(),
        tuple(side for side, _ in rows),
        tuple(place for _, place in rows),
        tuple(seen.sides[side][place] for side, place in rows),
        explained,
    )


def principal(rows: Tensor) -> tuple[Tensor, tuple[float, float]]:
    """The first two principal components of (n, W): coordinates (n, 2) and their shares of the variance."""
    if rows.numel() == 0:
        return rows.new_zeros(len(rows), 2), (0.0, 0.0)
    centred = rows.double() - rows.double().mean(0)
    _, spread, axes = torch.linalg.svd(centred, full_matrices=False)
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    places = centred @ axes[:2].t()
    if places.shape[1] < 2:
        places = torch.nn.functional.pad(places, (0, 2 - places.shape[1]))
    power = [*(spread**2).tolist(), 0.0, 0.0]
    whole = sum(power) or 1.0
    return places.float(), (power[0] / whole, power[1] / whole)
