"""Ten times the capacity: three ways of asking a service for too much, and what it says to whom. Used by serving.py.

``open``: requests at random moments, ten times as many a second as the service answers, whoever waits. ``bursts``: ten
times as many at once as an idle service takes, a few times. ``closed``: ten times as many clients as may wait, each
asking again when answered, and a second after a refusal. The clients are a process of their own (flood.py). An answer
is right when it is that which the same text got alone.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

QUEUE = 32
LOADS: dict[str, dict[str, Any]] = {
    "open": {"connections": 1000, "seconds": 20.0},
    "bursts": {"connections": 10 * (QUEUE + 1), "times": 5},  # one is in work at once, the others wait
    "closed": {"connections": 10 * QUEUE, "seconds": 8.0},
}


class Clients:
    """flood.py, at the service at a port."""

    def __init__(self, model: str, port: int, texts: Sequence[str]) -> None:
        self.order = {"model": model, "port": port, "texts": list(texts)}
        script = str(Path(__file__).with_name("flood.py"))
        self.process = subprocess.Popen([sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, kind: str, **how: Any) -> list[dict[str, Any]]:
        """The calls of one load."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps({**self.order, "kind": kind, **how}).encode() + b"\n")
        self.process.stdin.flush()
        calls: list[dict[str, Any]] = json.loads(self.process.stdout.readline())
        return calls

    def close(self) -> None:
        """End them."""
        self.process.communicate()


def ten_times(clients: Clients, pid: int, rate: float) -> dict[str, Any]:
    """All three loads at a service that answers ``rate`` texts a second; its process is ``pid``."""
    texts = clients.order["texts"]
    alone = clients.ask("bursts", connections=1, times=len(texts), pause=0.0)
    right = {call["text"]: answer_in(call) for call in alone}
    found: dict[str, Any] = {"queue": QUEUE, "megabytes_before": memory(pid)["VmRSS"]}
    for kind, how in LOADS.items():
        more = {"rate": 10 * rate} if kind == "open" else {}
        calls = clients.ask(kind, **how, **more)
        asked = {key: round(value, 1) for key, value in {**how, **more}.items()}
        found[kind] = asked | outcome(calls, right) | {"megabytes_after": memory(pid)["VmRSS"]}
    return found | {"megabytes_at_most": memory(pid)["VmHWM"]}


def outcome(calls: Sequence[dict[str, Any]], right: dict[int, str]) -> dict[str, Any]:
    """Who was answered, who refused, how soon.

    ``noticed_late`` and ``sent_late`` are the clients' own: how long an answer lay in the socket, and how much later a
    request went out than it should have.
    """
    answered = [call for call in calls if call["status"] == 200]
    refused = [call for call in calls if call["status"] == 429]
    assert len(answered) + len(refused) == len(calls), {call["status"] for call in calls}
    assert all(call["retry_after"] for call in refused)
    return {
        "answered": {"requests": len(answered), "milliseconds": percentiles(answered, "latency")},
        "wrong_answers": sum(answer_in(call) != right[call["text"]] for call in answered),
        "refused": {"requests": len(refused), "milliseconds": percentiles(refused, "latency")},
        "noticed_late": percentiles(refused, "noticed_late"),
        "sent_late": percentiles(calls, "sent_late"),
    }


def percentiles(calls: Sequence[dict[str, Any]], of: str) -> dict[str, float]:
    """In milliseconds."""
    if len(calls) < 2:
        return {}
    cuts = statistics.quantiles([call[of] / 1e6 for call in calls], n=100, method="inclusive")
    largest = max(call[of] for call in calls) / 1e6
    return {f"p{percent}": round(cuts[percent - 1], 1) for percent in (50, 90, 95, 99)} | {"max": round(largest, 1)}


def answer_in(call: dict[str, Any]) -> str:
    """The text that a predict answered."""
    assert call["status"] == 200, call
    return str(json.loads(call["body"])["results"][0]["text"])


def memory(pid: int) -> dict[str, float]:
    """What a process has, and at most had, resident, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = (line.split(":") for line in lines if line.startswith("Vm"))
    return {name: round(int(value.split()[0]) / 1000, 1) for name, value in pairs}
