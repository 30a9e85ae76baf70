"""The allocator is told to keep what it got: under glibc it hears, elsewhere the question does no harm."""

from __future__ import annotations

import platform
import resource

import torch

from clearhead.hardware import keep_memory


def test_freed_memory_is_used_again_without_asking_the_system() -> None:
    """A block above the usual limit for giving back, dropped a hundred times: fresh pages a few times at most."""
    heard = keep_memory()
    assert heard == (platform.libc_ver()[0] == "glibc")
    if not heard:
        return
    size = 6 << 20  # floats: 24 MB, and 6,144 pages
    torch.empty(size).fill_(1.0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(100):
        torch.empty(size).fill_(1.0)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    assert faults < 20 * 6144, f"{faults} page faults: every block is made of fresh pages"
