"""Where plain products beat the fused kernel in training, by length: forward and backward of one attention on the CPU.

    python benchmarks/attention_paths.py [--threads N]

Batches hold about 2,560 positions of 4 heads of width 32, as a small translator's do. The crossover is what
``clearhead.mechanism.paths.SHORT`` stands for.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch
from duel import write_result

from clearhead.mechanism.masks import causal
from clearhead.mechanism.paths import Problem, fused, products

POSITIONS, HEADS, WIDTH = 2560, 4, 32


def milliseconds(path: Any, length: int, dtype: torch.dtype, rounds: int) -> list[float]:
    """Times of forward and backward of one causal self-attention over batches of rows of ``length``."""
    batch = max(1, POSITIONS // length)
    q, k, v = (torch.randn(batch, HEADS, length, WIDTH, dtype=dtype, requires_grad=True) for _ in range(3))
    times = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        path(Problem(q, k, v, causal())).sum().backward()
        times.append(1000 * (time.perf_counter() - start))
    return times[1:]


def main() -> None:
    """Measure all lengths in both precisions and write benchmarks/results/attention-paths.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        for length in (16, 32, 64, 96, 128, 256, 512):
            plain, kernel = (milliseconds(path, length, dtype, arguments.rounds) for path in (products, fused))
            ratios = [a / b for a, b in zip(plain, kernel, strict=True)]
            row = {"dtype": str(dtype), "length": length, "products_over_fused": round(statistics.median(ratios), 3)}
            rows.append({**row, "products_ms": statistics.median(plain), "fused_ms": statistics.median(kernel)})
    write_result("attention-paths", {"what": "forward and backward, causal, 4 heads of width 32", "rows": rows})


if __name__ == "__main__":
    main()
