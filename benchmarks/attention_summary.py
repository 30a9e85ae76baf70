"""What it costs to look at attention: the fused forward, our summary, and the map that other tools keep, by length.

    python benchmarks/attention_summary.py [--threads N] [--lengths 8192 131072]

Attention of one sequence, width 64 a head. The map's way is that of tools that return attention weights: scores,
softmax, product with the values, then the same quantities from the kept map. It is left out where it would not fit.
Each row is a process of its own, and the map's another: memory is what the process's peak rises by while a summary (a
map) is made for the first time; then come rounds in turn, summary, fused, summary, fused …: the median of their times
and of their ratios, and the ratio of the fastest, which other work on the machine disturbs least. Where a row has one
round, the first time is the one that counts. With --lengths only these are measured; the other rows stay as they were
recorded, and so do those of another number of threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from duel import RESULTS, peak_megabytes, write_result

from clearhead import masks
from clearhead.mechanism.attention import attention_summary

NAME = "attention-summary"
WIDTH = 64
# (length, heads, rounds): with the length the heads become fewer, so that a row takes minutes and not hours
SIZES = [(1024, 8, 5), (2048, 8, 5), (4096, 8, 3), (8192, 8, 3), (16384, 8, 1), (32768, 2, 1), (131072, 1, 1)]
CAUSAL_ONLY = 65536  # from here on
MAP_COPIES = 3  # scores, weights, and one more while the softmax or a quantity is worked out


def fused(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> Any:
    """The fused forward pass that a model runs when nobody looks."""
    return torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)


def summed_up(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> Any:
    """Ours, all quantities, the eight largest weights among them."""
    return attention_summary(q, k, mask=masks.causal() if causal else None)


def kept_map(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool) -> Any:
    """What tools do that return attention weights, then the same quantities from the map, head by head."""
    scores = q @ k.transpose(-2, -1) * WIDTH**-0.5
    if causal:
        scores = scores + torch.full(scores.shape[2:], -torch.inf, dtype=q.dtype).triu(1)
    weights = torch.softmax(scores, -1, dtype=torch.float32).to(q.dtype)
    mixed, places, told = weights @ v, torch.arange(q.shape[2]), []
    for head in weights.float().unbind(1):
        entropy = -torch.xlogy(head, head).sum(-1)
        told.append((entropy, head.sum(-2), head.topk(8), (head * (places[:, None] - places).abs()).sum(-1)))
    return mixed, told


WAYS: dict[str, Callable[..., Any]] = {"fused": fused, "summary": summed_up, "map": kept_map}


def worker(request: dict[str, Any]) -> dict[str, Any]:
    """Measure one row: the memory of the first way, and the times of all in turn."""
    torch.set_num_threads(request["threads"])
    torch.manual_seed(0)
    dtype, length = getattr(torch, request["dtype"]), request["length"]
    small = [torch.randn(1, 1, 64, WIDTH, dtype=dtype) for _ in range(3)]
    for way in WAYS.values():  # what libraries load at first use is nobody's
        way(*small, True)
    q, k, v = (torch.randn(1, request["heads"], length, WIDTH, dtype=dtype) for _ in range(3))
    before, seconds = peak_megabytes(), {name: [] for name in request["ways"]}
    with torch.no_grad():
        for turn in range(request["rounds"] + (request["rounds"] > 1)):
            for name in request["ways"]:
                start = time.perf_counter()
                WAYS[name](q, k, v, request["causal"])
                seconds[name].append(time.perf_counter() - start)
                if not turn and name == request["ways"][0]:
                    megabytes = round(peak_megabytes() - before, 1)
    return {"megabytes": megabytes, "seconds": {name: taken[-request["rounds"] :] for name, taken in seconds.items()}}


def ask(**request: Any) -> dict[str, Any]:
    """Run the worker in a process of its own."""
    command = [sys.executable, __file__, "--worker", json.dumps(request)]
    answer: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return answer


def row(size: tuple[int, int, int], dtype: str, causal: bool, threads: int) -> dict[str, Any]:
    """One line of the table."""
    length, heads, rounds = size
    case = {"length": length, "heads": heads, "dtype": dtype, "causal": causal, "threads": threads}
    ours = ask(**case, ways=["summary", "fused"], rounds=rounds)
    mine, plain = ours["seconds"]["summary"], ours["seconds"]["fused"]
    line: dict[str, Any] = {
        **case,
        "fused_seconds": round(statistics.median(plain), 4),
        "summary_seconds": round(statistics.median(mine), 4),
        "summary_over_fused": round(statistics.median(a / b for a, b in zip(mine, plain, strict=True)), 2),
        "fastest_over_fastest": round(min(mine) / min(plain), 2),
        "rounds": rounds,
        "summary_megabytes": ours["megabytes"],
    }
    needed = MAP_COPIES * heads * length**2 * getattr(torch, dtype).itemsize / 1e6
    if needed > 0.5 * available_megabytes():
        return {**line, "map": f"left out: three maps of this size take {needed / 1000:.0f} GB"}
    theirs = ask(**case, ways=["map"], rounds=2 if length < 8192 else 1)
    return {
        **line,
        "map_seconds": round(min(theirs["seconds"]["map"]), 4),
        "map_megabytes": theirs["megabytes"],
        "map_over_summary_megabytes": round(theirs["megabytes"] / max(0.1, ours["megabytes"]), 1),
    }


def available_megabytes() -> float:
    """Memory that could be had now."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) / 1000


def recorded() -> list[dict[str, Any]]:
    """The rows of the result as it stands."""
    path = RESULTS / f"{NAME}.json"
    return json.loads(path.read_text(encoding="utf-8"))["rows"] if path.is_file() else []


def case_of(line: dict[str, Any]) -> tuple[Any, ...]:
    """What a row was measured for."""
    return tuple(line[name] for name in ("threads", "length", "heads", "dtype", "causal"))


def main() -> None:
    """Measure the lengths and write benchmarks/results/attention-summary.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--lengths", type=int, nargs="+", choices=[size[0] for size in SIZES], metavar="N")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(worker(json.loads(arguments.worker))))
        return
    rows = {case_of(line): line for line in recorded()}
    for size in SIZES:
        for dtype in ("float32", "bfloat16"):
            for causal in (False, True):
                if (not arguments.lengths or size[0] in arguments.lengths) and (causal or size[0] < CAUSAL_ONLY):
                    line = row(size, dtype, causal, arguments.threads)
                    rows[case_of(line)] = line
                    print(line, file=sys.stderr, flush=True)
    what = "attention of one sequence, 64 wide a head: the fused forward, the summary (8 largest weights), and the map"
    write_result(NAME, {"what": what, "rows": [rows[case] for case in sorted(rows)]})


if __name__ == "__main__":
    main()
