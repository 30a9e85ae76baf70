"""Which numbers the products of training are done in: bfloat16 where the machine multiplies it natively, else float32.

Weights, gradients, moments and the loss stay float32; autocast lowers the products only (arXiv 1905.12322).
Knows machines, not models.
"""

from __future__ import annotations

import contextlib

import torch

from clearhead.hardware import multiplies_bfloat16
from clearhead.training.settings import Precision


def resolve(precision: Precision, device: torch.device) -> Precision:
    """``precision``, with "auto" replaced by what suits ``device``."""
    if precision != "auto":
        return precision
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context to compute in; does nothing in float32."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
