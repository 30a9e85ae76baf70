"""Two programs in turn on one machine: each in a process of its own, round by round.

A benchmark file is parent and worker at once. As a worker it reads one JSON request a line from stdin and answers with
one JSON object a line. The parent asks the workers in turn, A B A B …, and quotes the median of the ratios round by
round, which holds when the machine's speed drifts. Peak memory is the kernel's own account of each worker (VmHWM).
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
RESULTS = Path(__file__).parent / "results"


class Worker:
    """One contestant, in its own process."""

    def __init__(self, script: str, options: Sequence[str]) -> None:
        command = [sys.executable, script, "--worker", *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.first = self._answer()

    def ask(self, **request: Any) -> Answer:
        """Send one request and wait for its answer."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Answer:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a worker ended early with status {self.process.wait()}")
        answer: Answer = json.loads(line)
        return answer

    def close(self) -> None:
        """Close its stdin, which ends it."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def serve(hello: Mapping[str, Any], handle: Callable[[Answer], Answer]) -> None:
    """A worker's side: say hello, then answer each request, with the peak memory so far."""
    print(json.dumps({**hello, "peak_megabytes": peak_megabytes()}), flush=True)
    for line in sys.stdin:
        answer = handle(json.loads(line))
        print(json.dumps({**answer, "peak_megabytes": peak_megabytes()}), flush=True)


def duel(script: str, contestants: Mapping[str, Sequence[str]], rounds: int, request: Mapping[str, Any]) -> Answer:
    """Run all contestants in turn for some rounds; the first is ours, ratios are ours over theirs, round by round.

    A peer's setting that is less than half as fast in the warm-up as the peer's best leaves the contest there.
    """
    workers = {name: Worker(script, options) for name, options in contestants.items()}
    warm = {name: worker.ask(**request) for name, worker in workers.items()}
    ours, *peers = contestants
    best = max(warm[name]["rate"] for name in peers)
    slow = {name: warm[name] for name in peers if warm[name]["rate"] < best / 2}
    for name in slow:
        workers.pop(name).close()
    figures: dict[str, list[Answer]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            figures[name].append(worker.ask(**request))
    for worker in workers.values():
        worker.close()
    left = {name: {"rate_in_warm_up": answer["rate"], "left": "after the warm-up"} for name, answer in slow.items()}
    return {name: _summary(answers, figures[ours]) for name, answers in figures.items()} | left


def _summary(answers: list[Answer], ours: list[Answer]) -> Answer:
    rates = [answer["rate"] for answer in answers]
    ratios = [mine["rate"] / theirs["rate"] for mine, theirs in zip(ours, answers, strict=True)]
    return {
        "rate": {"median": statistics.median(rates), "min": min(rates), "max": max(rates)},
        "clearhead_over_this": {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)},
        "peak_megabytes": max(answer["peak_megabytes"] for answer in answers),
        "rounds": len(answers),
    }


def peak_megabytes() -> float:
    """The most memory this process has had resident, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1000, 1)
    raise SystemExit("peak memory is read from /proc/self/status, which this system does not have")


def machine() -> dict[str, Any]:
    """What the figures were taken on, with the vector instructions that decide which precision is quick."""
    from clearhead.service.machine import describe_machine, describe_software

    cpuinfo = Path("/proc/cpuinfo")
    flags = set(cpuinfo.read_text().partition("\nflags")[2].partition("\n")[0].split()) if cpuinfo.exists() else set()
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return {**describe_machine(), "instructions": [flag for flag in wanted if flag in flags], **describe_software()}


def write_result(name: str, result: Mapping[str, Any]) -> Path:
    """Write benchmarks/results/NAME.json with the date and the machine, and print it."""
    return write_json(name, {"date": datetime.now(UTC).date().isoformat(), "machine": machine(), **result})


def write_json(name: str, whole: Mapping[str, Any]) -> Path:
    """Write benchmarks/results/NAME.json as it is, and print it."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(path.read_text(encoding="utf-8"))
    return path
