"""The mean of several snapshots of one model's weights, summed in float64, one file in memory at a time.

Averaging the last checkpoints is section 6.1 of arXiv 1706.03762; it smooths out what the last batches did.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from clearhead.errors import RunError


def average(snapshots: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each tensor over ``snapshots``, in its own dtype; whole numbers are taken from the last.

    Raises:
        RunError: there is no snapshot, or their tensors have different names.
    """
    total: dict[str, Tensor] = {}
    count, last = 0, dict[str, Tensor]()
    for count, last in enumerate(snapshots, start=1):
        if count > 1 and last.keys() != total.keys():
            raise RunError(
                "the snapshots to be averaged hold different weights; were they written by different models?"
            )
        for name, tensor in last.items():
            wide = tensor.to(torch.float64)
            total[name] = total[name].add_(wide) if count > 1 else wide
    if not count:
        raise RunError("there is no snapshot to average")
    return {
        name: (total[name] / count).to(tensor.dtype) if tensor.is_floating_point() else tensor.clone()
        for name, tensor in last.items()
    }
