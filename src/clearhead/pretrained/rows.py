"""How one tensor of ours is made of published ones, and back: a two-way table of names, row by row.

Linear maps are (out, in) on both sides; a family that keeps them (in, out) says ``turned``. A packed projection is the
published ones stacked along its rows. Both ways are copies of the same numbers, so nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.models.config import GATED, ModelConfig


@dataclass(frozen=True, slots=True)
class Row:
    """Our tensor ``ours`` is the published ``theirs`` on top of each other, ``rows`` says how many rows each has.

    ``turned``: published as (in, out). ``flat``: published with a first dimension of 1.
    """

    ours: str
    theirs: tuple[str, ...]
    rows: tuple[int, ...] = ()
    turned: bool = False
    flat: bool = False

    def published_shapes(self, shape: Sequence[int]) -> list[tuple[int, ...]]:
        """The shapes of the published tensors for ours of ``shape``."""
        shapes = [(rows, *shape[1:]) for rows in self.rows or (shape[0],)]
        return [(1, *each) if self.flat else each[::-1] if self.turned else each for each in shapes]

    def pack(self, parts: Sequence[Tensor]) -> Tensor:
        """Ours from the published ones."""
        parts = [part[0] if self.flat else part.t() if self.turned else part for part in parts]
        return parts[0].contiguous() if len(parts) == 1 else torch.cat(list(parts))

    def unpack(self, tensor: Tensor) -> list[Tensor]:
        """The published ones from ours, each in memory of its own."""
        parts = torch.split(tensor, list(self.rows)) if self.rows else (tensor,)
        turned = [part[None] if self.flat else part.t() if self.turned else part for part in parts]
        return [part.clone(memory_format=torch.contiguous_format) for part in turned]


def matrix(ours: str, *theirs: str, rows: tuple[int, ...] = (), turned: bool = False) -> list[Row]:
    """The weight of a linear map without bias, or of an embedding."""
    return [Row(f"{ours}.weight", tuple(f"{name}.weight" for name in theirs), rows, turned)]


def vector(ours: str, *theirs: str, rows: tuple[int, ...] = ()) -> list[Row]:
    """A bias."""
    return [Row(f"{ours}.bias", tuple(f"{name}.bias" for name in theirs), rows)]


def linear(ours: str, *theirs: str, bias: bool = True, rows: tuple[int, ...] = (), turned: bool = False) -> list[Row]:
    """A linear map, with its bias where there is one; several published ones are packed into ours."""
    weight = matrix(ours, *theirs, rows=rows, turned=turned)
    return weight + (vector(ours, *theirs, rows=rows) if bias else [])


def norm(ours: str, theirs: str, *, shift: bool = True) -> list[Row]:
    """A norm's gain, and its shift where it has one."""
    return linear(ours, theirs, bias=shift)


def projected(config: ModelConfig) -> tuple[int, int, int]:
    """Rows of W_q, W_k and W_v in the packed projection of self-attention."""
    groups = config.kv_heads
    return config.heads * config.head_width, groups * config.head_width, groups * config.value_head_width


def gate_rows(config: ModelConfig) -> tuple[int, int]:
    """Rows of the gate and of what it gates in a packed feed-forward projection."""
    assert config.activation in GATED
    return config.feedforward, config.feedforward
