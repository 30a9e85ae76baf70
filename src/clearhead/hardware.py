"""What the machine can do and how to ask it: bfloat16 in hardware, memory that is kept instead of given back."""

from __future__ import annotations

import ctypes
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


@lru_cache
def keep_memory() -> bool:
    """Have the C library keep freed memory for the next allocation; whether it could be told (glibc only).

    By default it gives large blocks back to the system at once, which then hands out fresh pages for every tensor: in
    training a small model on two threads that costs a fifth of the time. Memory at its peak stays as it is, afterwards
    it is kept by the process. An own heap for each thread would shrink and grow as well, so there is one for all.
    """
    trim_threshold, top_pad, mmap_threshold, arenas = -1, -2, -3, -8  # the names of mallopt(3)
    wanted = {arenas: 1, trim_threshold: (1 << 31) - 1, top_pad: 1 << 26, mmap_threshold: 1 << 25}
    try:
        tell = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return all(tell(name, value) == 1 for name, value in wanted.items())
