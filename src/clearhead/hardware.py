"""What a device can multiply in hardware. Both the precision of training and the path of attention hang on it."""

from __future__ import annotations

from functools import lru_cache

import torch


@lru_cache
def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether ``device`` multiplies bfloat16 in hardware: AVX512-BF16 or AMX on x86, capability 8.0 on CUDA."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if device.type == "cpu":
        ask = getattr(torch.cpu, "get_capabilities", dict)  # unknown to older torch: float32 is right everywhere
        able: dict[str, object] = ask()
        return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return False
