"""Memory grows with the length, not with its square: at 16,384 positions one float32 map would take 1 GiB."""

from __future__ import annotations

import json
import subprocess
import sys

MIB = 1 << 20
LONG = 16_384
# Each line: what it is, positions, whether it trains, the mask. The high-water mark of a process only rises, so each
# peak holds for all lines above it too.
RUNS = f"""[
    ("window, half", {LONG // 2}, True, masks.window(100, 100)),
    ("window", {LONG}, True, masks.window(100, 100)),
    ("what follows, half", {LONG // 2}, True, ~masks.causal()),
    ("window, predicting", {LONG}, False, masks.window(100, 100)),
    ("composed", {LONG}, True, masks.causal() & masks.window(300, 0) & masks.lengths(torch.tensor([16000]))),
    ("causal, predicting", {LONG}, False, masks.causal()),
]"""
PROGRAM = f"""
import json, resource, sys, torch
import clearhead
from clearhead import masks

torch.set_num_threads(1)

def attend(length, trains, mask):
    q, k, v = (torch.randn(1, 1, length, 8, requires_grad=trains) for _ in range(3))
    output = clearhead.attention(q, k, v, mask=mask)
    if trains:
        output.sum().backward()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

attend(2048, True, masks.window(9, 9))  # what libraries load on first use is not counted
before, peaks = peak(), {{}}
for name, length, trains, mask in {RUNS}:
    attend(length, trains, mask)
    peaks[name] = peak() - before
json.dump(peaks, sys.stdout)
"""


def test_a_long_sequence_makes_no_map_and_memory_grows_with_the_length() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    peaks = json.loads(done.stdout)
    assert max(peaks.values()) < 192 * MIB, peaks  # a map in bool would be 256 MiB, and blocks not recomputed 300
    assert peaks["window"] < 2 * peaks["window, half"] + 16 * MIB, peaks
    assert "causal, predicting" in peaks
