"""A summary's memory grows with the length, not with its square: at 32,768 positions one map would take 4 GiB."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

MIB = 1 << 20
PROGRAM = """
import json, resource, sys, torch
import clearhead

torch.set_num_threads(1)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def sum_up(length):
    q, k = torch.randn(1, 2, length, 8), torch.randn(1, 1, length, 8)
    got = clearhead.attention_summary(q, k, mask=clearhead.masks.window(length // 16, 0) & clearhead.masks.causal())
    assert abs(float(got.received.sum()) / (2 * length) - 1) < 1e-5

sum_up(2048)  # what libraries load on first use is not counted
before, peaks = peak(), {}
for length in map(int, sys.argv[1:]):
    sum_up(length)
    peaks[length] = peak() - before
json.dump(peaks, sys.stdout)
"""


def peaks(*lengths: int) -> dict[int, int]:
    """By how many bytes the peak of one process has risen after each length, shortest first."""
    command = [sys.executable, "-c", PROGRAM, *map(str, lengths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {int(length): peak for length, peak in json.loads(done.stdout).items()}


def held(length: int) -> int:
    """Bytes of q and k, and of a summary of 2 heads with 8 top keys, what keys receive being summed in float64."""
    return 4 * length * (2 + 1) * 8 + 2 * length * (4 + 4 + 4 + 8 + 8 * (4 + 8))


def test_memory_grows_with_the_length() -> None:
    risen = peaks(8192, 32_768)
    assert all(peak < 1.5 * held(length) + 16 * MIB for length, peak in risen.items()), risen


@pytest.mark.long
def test_memory_at_131072_positions() -> None:
    risen = peaks(32_768, 131_072)  # one map would take 64 GiB a head
    assert all(peak < 1.5 * held(length) + 16 * MIB for length, peak in risen.items()), risen
