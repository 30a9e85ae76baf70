"""Which numbers the products of training are done in: bfloat16 where the machine multiplies it natively, else float32.

Weights, gradients, moments and the loss stay float32; autocast lowers the products only (arXiv 1905.12322).
Knows machines, not models.
"""

from __future__ import annotations

import contextlib

import torch

from clearhead.training.settings import Precision


def resolve(precision: Precision, device: torch.device) -> Precision:
    """``precision``, with "auto" replaced by what suits ``device``."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_bfloat16(device) else "float32"


def has_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` multiplies bfloat16 in hardware: AVX512-BF16 or AMX on x86, capability 8.0 on CUDA."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        ask = getattr(torch.cpu, "get_capabilities", dict)  # unknown to older torch: float32 is right everywhere
        able: dict[str, object] = ask()
        return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return False


def autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[object]:
    """The context to compute in; does nothing in float32."""
    if precision == "bfloat16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()
