"""Memory grows with the length, not with its square: at 16,384 positions one float32 map would take 1 GiB."""

from __future__ import annotations

import json
import subprocess
import sys

MIB = 1 << 20
LONG = 16_384
# Each line: what it is, positions, whether it trains, settings. The high-water mark of a process only rises, so each
# peak holds for all lines above it too.
RUNS = f"""[
    ("additive", {LONG // 4}, True, {{"score": scores.Additive(8, 2)}}),
    ("entmax", {LONG // 4}, True, {{"normalize": "entmax15", "score": scores.Bilinear(8)}}),
    ("relative", {LONG // 4}, True, {{"bias": biases.relative(table, lambda d: d.clamp(-1, 1) + 1)}}),
    ("window, half", {LONG // 2}, True, {{"mask": masks.window(100, 100)}}),
    ("window", {LONG}, True, {{"mask": masks.window(100, 100)}}),
    ("what follows, half", {LONG // 2}, True, {{"mask": ~masks.causal()}}),
    ("window, predicting", {LONG}, False, {{"mask": masks.window(100, 100)}}),
    ("composed", {LONG}, True,
     {{"mask": masks.causal() & masks.window(300, 0) & masks.lengths(torch.tensor([16000]))}}),
    ("causal, predicting", {LONG}, False, {{"mask": masks.causal()}}),
]"""
PROGRAM = f"""
import json, resource, sys, torch
import clearhead
from clearhead import biases, masks, scores

table = torch.zeros(3, 1, requires_grad=True)
torch.set_num_threads(1)

def attend(length, trains, settings):
    q, k, v = (torch.randn(1, 1, length, 8, requires_grad=trains) for _ in range(3))
    output = clearhead.attention(q, k, v, **settings)
    if trains:
        output.sum().backward()

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

attend(2048, True, {{"mask": masks.window(9, 9)}})  # what libraries load on first use is not counted
before, peaks = peak(), {{}}
for name, length, trains, settings in {RUNS}:
    attend(length, trains, settings)
    peaks[name] = peak() - before
json.dump(peaks, sys.stdout)
"""


def test_a_long_sequence_makes_no_map_and_memory_grows_with_the_length() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    peaks = json.loads(done.stdout)
    assert max(peaks.values()) < 192 * MIB, peaks  # half the length's map is 256 MiB
    assert peaks["relative"] < 112 * MIB, peaks  # a quarter's map is 64 MiB, and whoever makes one holds two or more
    assert peaks["window"] < 2 * peaks["window, half"] + 16 * MIB, peaks
    assert "causal, predicting" in peaks
