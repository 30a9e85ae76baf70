"""Trains in processes of its own and kills them: a script, because torch is to be loaded once and forked many times.

``killing.py kill FOLDER KILLS SEED`` makes one run that nobody disturbs and one that is killed with SIGKILL ``KILLS``
times at moments drawn from ``SEED``, every second time at a call inside a save, and resumed each time. ``killing.py
stop FOLDER`` sends signals to runs and reports how they end. The report is one JSON object on stdout.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import toys

from clearhead.training import durable
from clearhead.training.events import Interrupted, Validation
from clearhead.training.job import TrainingJob
from clearhead.training.loop import run
from clearhead.training.signals import stop_on_signals

UPDATES = 48
CALLS_OF_A_SAVE = 45


def job(out: Path, **changes: Any) -> TrainingJob:
    return toys.job(out, resume=True, updates=UPDATES, average=4, **changes)


def forked(work: Callable[[int], int]) -> tuple[int, int]:
    """Do ``work`` in a child; its process number, and where to read what it writes to the handle it is given."""
    read, write = os.pipe()
    child = os.fork()
    if child:
        os.close(write)
        return child, read
    status = 70
    try:
        os.close(read)
        status = work(write)
    finally:
        os._exit(status)


def ended(child: int) -> int:
    """Exit status, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train(out: Path, tell: int, number_of_call: int = 0) -> int:
    """Train to the end, a byte to ``tell`` after each update; or kill oneself before so many calls of the saves."""
    if number_of_call:
        durable.os = Suicidal(number_of_call)  # type: ignore[attr-defined]
    for event in run(job(out)):
        if event.kind == "progressed":
            os.write(tell, b".")
    return 0


class Suicidal:
    """``os`` that kills its own process at one of the calls that change something on the disk."""

    def __init__(self, left: int) -> None:
        self.left = left

    def __getattr__(self, name: str) -> Any:
        if name in ("open", "write", "fsync", "rename", "mkdir", "unlink", "rmdir"):
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
        return getattr(os, name)


def kill(folder: Path, kills: int, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    child, _ = forked(lambda tell: train(folder / "unbroken", tell))
    report: dict[str, Any] = {"unbroken": ended(child), "killed": 0, "inside_a_save": 0}
    for number in range(kills):
        inside = number % 2 == 0
        call = chance.randrange(1, 2 * CALLS_OF_A_SAVE) if inside else 0
        child, told = forked(lambda tell, call=call: train(folder / "killed", tell, call))
        if not inside:
            os.read(told, 1)
            time.sleep(chance.uniform(0, 0.25))
            os.kill(child, signal.SIGKILL)
        killed = ended(child) == -signal.SIGKILL
        report["killed"] += killed
        report["inside_a_save"] += killed and inside
        os.close(told)
    child, _ = forked(lambda tell: train(folder / "killed", tell))
    return report | {"last": ended(child)}


def stoppable(out: Path, tell: int, slow: bool = False) -> int:
    """Train as a command line would: signals set the flag, the exit status is 128 + the signal's number."""

    def validate(model: torch.nn.Module) -> Validation:
        os.write(tell, b"v")
        if slow:
            time.sleep(60)
        return toys.validate(model)

    with stop_on_signals() as stop:
        for event in run(job(out, stop=stop, validate=validate)):
            if event.kind in ("progressed", "saved"):
                os.write(tell, event.kind[:1].encode())
            match event:
                case Interrupted():
                    return 128 + event.signal
    return 0


def stopped(out: Path, number: signal.Signals, after: bytes, count: int) -> int:
    """Send ``number`` when the run has told ``after`` so many times; how it ends."""
    child, told = forked(lambda tell: stoppable(out, tell))
    while count:
        count -= os.read(told, 1) == after
    os.kill(child, number)
    return ended(child)


def stop(folder: Path) -> dict[str, Any]:
    child, told = forked(lambda tell: stoppable(folder / "slow", tell, slow=True))
    while os.read(told, 1) != b"v":
        pass
    os.kill(child, signal.SIGTERM)
    time.sleep(0.1)
    began = time.perf_counter()
    os.kill(child, signal.SIGINT)
    return {
        "twice": [ended(child), time.perf_counter() - began],
        "amid_updates": stopped(folder / "amid_updates", signal.SIGTERM, b"p", 7),
        "by_hand": stopped(folder / "by_hand", signal.SIGINT, b"p", 4),
        "in_validation": stopped(folder / "in_validation", signal.SIGTERM, b"v", 1),
        "after_a_save": stopped(folder / "after_a_save", signal.SIGTERM, b"s", 2),
        "at_once": stopped(folder / "at_once", signal.SIGTERM, b"p", 1),
    }


def main() -> None:
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], fused=True)  # loads what the first optimiser loads
    what, folder, *numbers = sys.argv[1:]
    report = kill(Path(folder), *map(int, numbers)) if what == "kill" else stop(Path(folder))
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    main()
