"""The service under load on loopback: one client at a time, many at once, and ten times more than there is room for.

    python benchmarks/serving.py --run RUN [--texts FILE] [--clients 32] [--requests 16] [--rounds 3]

Each request is one line of the run's test sources (or of FILE), with the run's own decoding. The clients live in one
process, the service in another. The refusals are those of a service with room for 32 inputs; see overload.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from duel import write_result
from overload import QUEUE, Clients, ten_times

from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks.table import TASKS

DISTINCT = 64  # texts whose answers are compared with those they get alone


@dataclass(frozen=True)
class Timed:
    """One answer: its status, and seconds from the request's first byte to the answer's last."""

    status: int
    seconds: float


@contextmanager
def service(run: Path, *options: str) -> Iterator[tuple[str, int, int]]:
    """``clearhead serve`` as a process of its own: the model's name, the port and the process's number."""
    command = [sys.executable, "-m", "clearhead", "serve", f"model={run}", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield "model", int(process.stdout.readline().rpartition(":")[2]), process.pid
        finally:
            process.terminate()


class Client:
    """One connection that is kept."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, model: str, text: str) -> Timed:
        """One input, one answer."""
        body = json.dumps({"inputs": [text]}).encode()
        head = f"POST /v1/models/{model}/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        began = time.perf_counter()
        self.writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length"))
        await self.reader.readexactly(length)
        return Timed(int(lines[0].split()[1]), time.perf_counter() - began)


async def clients_of(port: int, count: int) -> list[Client]:
    return [await Client.connect(port) for _ in range(count)]


async def one_by_one(port: int, model: str, texts: Sequence[str]) -> dict[str, Any]:
    """A client that asks for the next when it has the last."""
    (client,) = await clients_of(port, 1)
    began = time.perf_counter()
    timed = [await client.ask(model, text) for text in texts]
    return summary(timed, time.perf_counter() - began)


async def at_once(port: int, model: str, texts: Sequence[str], count: int) -> dict[str, Any]:
    """``count`` clients, each with its share of the texts."""
    clients = await clients_of(port, count)

    async def work(number: int) -> list[Timed]:
        return [await clients[number].ask(model, text) for text in texts[number::count]]

    began = time.perf_counter()
    timed = await asyncio.gather(*map(work, range(count)))
    return summary([each for part in timed for each in part], time.perf_counter() - began)


def summary(timed: Sequence[Timed], elapsed: float) -> dict[str, Any]:
    """How many, how fast, and percentiles of the latency in milliseconds."""
    cuts = statistics.quantiles([each.seconds * 1000 for each in timed], n=100, method="inclusive")
    return {
        "requests": len(timed),
        "per_second": round(len(timed) / elapsed, 1),
        "milliseconds": {f"p{percent}": round(cuts[percent - 1], 1) for percent in (50, 90, 95, 99)},
    }


def texts_of(run: Path, file: Path | None, count: int) -> list[str]:
    """Lines of ``file``, or the sources of the run's test data."""
    if file is not None:
        lines = file.read_text(encoding="utf-8").split("\n")
    else:
        folder = RunFolder.open(run)
        lines = TASKS[folder.card().task].read(folder.recipe(), "test").sources
    lines = [line for line in lines if line.strip()]
    return [lines[place % len(lines)] for place in range(count)]


def throughput(run: Path, texts: Sequence[str], clients: int, rounds: int) -> dict[str, Any]:
    """One by one and at once, in turn; of ``rounds``, the one in the middle by the ratio."""
    found = []
    with service(run) as (model, port, _):
        asyncio.run(at_once(port, model, texts[:clients], clients))  # warm
        for _ in range(rounds):
            single = asyncio.run(one_by_one(port, model, texts[: len(texts) // 4]))
            many = asyncio.run(at_once(port, model, texts, clients))
            found.append({"one_by_one": single, "at_once": many, "ratio": many["per_second"] / single["per_second"]})
    found.sort(key=lambda each: each["ratio"])
    middle = found[len(found) // 2]
    return {**middle, "ratio": round(middle["ratio"], 2), "ratios": [round(each["ratio"], 2) for each in found]}


def overload(run: Path, texts: Sequence[str], rate: float) -> dict[str, Any]:
    """Ten times the capacity; see overload.py."""
    with service(run, "--queue", str(QUEUE)) as (model, port, pid):
        clients = Clients(model, port, texts)
        try:
            clients.ask("bursts", connections=QUEUE, times=1)  # warm
            return ten_times(clients, pid, rate)
        finally:
            clients.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--requests", type=int, default=16, help="of each client")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    card = RunFolder.open(options.run).card()
    facts = {"task": card.task, "width": card.model.width, "layers": card.model.decoder_layers}
    texts = texts_of(options.run, options.texts, options.clients * options.requests)
    plenty = throughput(options.run, texts, options.clients, options.rounds)
    too_much = overload(options.run, texts[:DISTINCT], plenty["at_once"]["per_second"])
    write_result("serving", {"model": facts, "clients": options.clients, **plenty, "ten_times_the_capacity": too_much})


if __name__ == "__main__":
    main()
