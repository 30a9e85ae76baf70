"""How a model tells places apart, as a picture for each scheme it has: what is added, what turns, what biases.

    added   a row for each position: the sinusoids of section 3.5 of arXiv 1706.03762, or learned ones
    bias    a number for each head and distance: ALiBi (arXiv 2108.12409) or T5's buckets (arXiv 1910.10683)
    turn    the cosine of the angle by which each plane of queries and keys is turned: rotary (arXiv 2104.09864)

What is shown is asked of the model's own modules, not computed beside them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from clearhead.mechanism.positions import RelativePositions
from clearhead.models.config import ModelConfig

SHOWN = 256  # positions
REACH = 64  # distances to each side
ADDED = ".positions"  # where a model keeps what is added to its embedding


@dataclass(frozen=True, eq=False)
class Picture:
    """One scheme: ``kind`` is added, bias or turn; rows and columns are what ``axes`` says."""

    name: str
    kind: str
    axes: tuple[str, str]
    first: int
    values: NDArray[np.float32]


def pictures(model: nn.Module, config: ModelConfig) -> list[Picture]:
    """A picture of every scheme of ``model``."""
    found = []
    with torch.inference_mode():
        for name, module in model.named_modules():
            if isinstance(module, RelativePositions):
                found += _relative(name, module, config.head_width)
            elif name.endswith(ADDED):
                rows = module(0, min(SHOWN, config.max_positions))
                if torch.is_tensor(rows):  # a scheme that adds nothing answers with the number 0
                    found.append(Picture(name, "added", ("position", "column"), 0, _plain(rows)))
    return found


def _relative(name: str, module: RelativePositions, key_width: int) -> list[Picture]:
    like = next(module.parameters(), torch.zeros(1))
    found, relative = [], module.at(0, 2 * REACH + 1, like)
    if relative.bias is not None:
        middle = relative.bias.tile((REACH, REACH + 1), (0, 2 * REACH + 1), like.device)
        found.append(Picture(name, "bias", ("head", "distance"), -REACH, _plain(middle[0, :, 0])))
    if (turn := module.at(0, SHOWN, like).turn) is not None:
        found.append(Picture(name, "turn", ("position", "plane"), 0, _plain(_cosines(turn, key_width, like.device))))
    return found


def _cosines(turn: Callable[[Tensor], Tensor], key_width: int, device: torch.device) -> Tensor:
    """The cosine of every plane's angle at every position (SHOWN, D/2), found by turning the first axis of each."""
    planes = key_width // 2
    first = torch.eye(planes, key_width, device=device)[None, :, None].expand(1, planes, SHOWN, key_width)
    return turn(first)[0].diagonal(dim1=0, dim2=2)


def _plain(x: Tensor) -> NDArray[np.float32]:
    return x.float().cpu().numpy()
