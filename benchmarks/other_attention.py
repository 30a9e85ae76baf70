"""Peak memory and time of attention that no fused kernel computes, beside the textbook's, by length.

    python benchmarks/other_attention.py [--lengths 1024 2048 4096 8192] [--rounds 3] [--threads N] [--memory 16]

Additive scores, sparsemax and 1.5-entmax, forward and backward, float32, one sentence, two heads of width 32, hidden
width 16 inside the tanh; softmax of scaled dot products, which does have a kernel, for comparison. The textbook is
``clearhead.textbook.attention``, its additive score written out over all pairs at once. Every figure comes from a
process of its own, ours and the textbook's in turn. A case that would need more than ``--memory`` gigabytes is left out
and says so. Writes benchmarks/results/other-attention.json.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from duel import peak_megabytes, write_result
from torch import Tensor

from clearhead.mechanism import textbook
from clearhead.mechanism.attention import attention
from clearhead.mechanism.scores import Additive

HEADS, WIDTH, HIDDEN = 2, 32, 16
SMALL = 64  # what a process computes first, so that libraries loaded on first use are not counted
WHAT = ("softmax", "additive", "sparsemax", "entmax15")
WHOSE = ("clearhead", "textbook")
MAPS = {
    "softmax": 6,
    "additive": 6 + 4 * HIDDEN,
    "sparsemax": 10,
    "entmax15": 10,
}  # held at once by the textbook, about


class WrittenOut(Additive):
    """The additive score as its equation says it: tanh for all pairs at once, and left to autograd."""

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """q (B, H, T, D), k (B, H, S, D) → (B, H, T, S)."""
        inside = (q @ self.query)[:, :, :, None] + (k @ self.key)[:, :, None]
        return torch.tanh(inside) @ self.weight


def computation(what: str, whose: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """The function to measure."""
    settings: dict[str, Any] = {"normalize": what} if what != "additive" else {}
    if what == "additive":
        torch.manual_seed(2)
        settings["score"] = (Additive if whose == "clearhead" else WrittenOut)(WIDTH, HIDDEN)
    compute = attention if whose == "clearhead" else textbook.attention
    return lambda q, k, v: compute(q, k, v, **settings)


def measured(compute: Callable[[Tensor, Tensor, Tensor], Tensor], length: int) -> tuple[float, float]:
    """Seconds of one forward and one backward pass."""
    torch.manual_seed(1)
    q, k, v = (torch.randn(1, HEADS, length, WIDTH, requires_grad=True) for _ in range(3))
    start = time.perf_counter()
    mixed = compute(q, k, v)
    middle = time.perf_counter()
    mixed.sum().backward()
    return middle - start, time.perf_counter() - middle


def worker(arguments: argparse.Namespace) -> None:
    """Measure one case and print it as one JSON object."""
    torch.set_num_threads(arguments.threads)
    compute = computation(arguments.what, arguments.whose)
    measured(compute, SMALL)
    before = peak_megabytes()
    times = [measured(compute, arguments.length) for _ in range(arguments.rounds)]
    forward, backward = (statistics.median(column) for column in zip(*times, strict=True))
    peak = round(peak_megabytes() - before, 1)
    print(json.dumps({"forward_seconds": forward, "backward_seconds": backward, "peak_megabytes": peak}))


def case(what: str, whose: str, length: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One row of the table, from a process of its own, or why there is none."""
    row: dict[str, Any] = {"what": what, "whose": whose, "length": length}
    needed = 4e-9 * HEADS * length**2 * MAPS[what]
    if whose == "textbook" and needed > arguments.memory:
        return {**row, "left_out": f"would need about {needed:.0f} GB"}
    options = {"--what": what, "--whose": whose, "--length": length, "--rounds": arguments.rounds}
    given = [str(part) for pair in {**options, "--threads": arguments.threads}.items() for part in pair]
    done = subprocess.run([sys.executable, __file__, "--worker", *given], stdout=subprocess.PIPE, text=True, check=True)
    return {**row, **json.loads(done.stdout)}


def growth(rows: list[dict[str, Any]], what: str, whose: str) -> dict[str, float]:
    """The powers of the length with which memory and time grow, from the shortest to the longest that was measured."""
    found = [row for row in rows if (row["what"], row["whose"]) == (what, whose) and "left_out" not in row]
    first, last = found[0], found[-1]
    if first is last:
        return {}
    steps = math.log(last["length"] / first["length"])
    seconds = [row["forward_seconds"] + row["backward_seconds"] for row in (first, last)]
    sizes = [max(1.0, row["peak_megabytes"]) for row in (first, last)]
    return {
        "memory": round(math.log(sizes[1] / sizes[0]) / steps, 2),
        "time": round(math.log(seconds[1] / seconds[0]) / steps, 2),
    }


def main() -> None:
    """Measure all cases, or one as a worker."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lengths", type=int, nargs="+", default=[1024, 2048, 4096, 8192])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--memory", type=float, default=16.0, help="gigabytes that may be used")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--what", choices=WHAT, help=argparse.SUPPRESS)
    parser.add_argument("--whose", choices=WHOSE, help=argparse.SUPPRESS)
    parser.add_argument("--length", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(arguments)
        return
    rows = []
    for length in sorted(arguments.lengths):
        for what in WHAT:
            for whose in WHOSE:
                rows.append(case(what, whose, length, arguments))
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    result = {
        "what": f"attention forward and backward, float32, {HEADS} heads of width {WIDTH}, hidden width {HIDDEN}",
        "threads": arguments.threads,
        "rounds": arguments.rounds,
        "rows": rows,
        "growth": {f"{what}, {whose}": growth(rows, what, whose) for what in WHAT for whose in WHOSE},
    }
    write_result("other-attention", result)


if __name__ == "__main__":
    main()
