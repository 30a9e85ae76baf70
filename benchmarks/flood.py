"""Many clients of a service in one process that does nothing else: raw sockets, one thread, no event loop's own queue.

    echo '{"port": 8000, …}' | python benchmarks/flood.py

Reads one JSON order a line from stdin, answers each with one line: the calls. All connections are open before the first
request. A request's latency runs from just before its bytes are handed to the kernel to the moment the first byte of
the answer reaches the socket, as the kernel stamps it: how long this process, which shares the machine with the
service, then waits for a processor is no part of it and is given apart. Linux only (epoll, SO_TIMESTAMPNS).
"""

from __future__ import annotations

import heapq
import json
import random
import select
import socket
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

SO_TIMESTAMPNS = 35  # the kernel's receive time, struct timespec of CLOCK_REALTIME
SECOND = 1_000_000_000


@dataclass
class Call:
    """One request: which text, when it was to go, when it went, when its answer came and was noticed, in ns."""

    text: int
    due: int
    sent: int = 0
    came: int = 0
    noticed: int = 0
    status: int = 0
    retry_after: bool = False
    body: bytes = b""


@dataclass(eq=False)
class Line:
    """One connection that is kept, with at most one request on its way."""

    sock: socket.socket
    call: Call | None = None
    got: bytearray = field(default_factory=bytearray)

    def send(self, call: Call, request: bytes) -> None:
        """All at once: requests are smaller than a socket's buffer."""
        self.call = call
        call.sent = time.time_ns()
        assert self.sock.send(request) == len(request)

    def receive(self) -> Call | None:
        """The call, once its answer is whole."""
        assert self.call is not None, "an answer nobody asked for"
        data, ancillary, _, _ = self.sock.recvmsg(1 << 16, 64)
        assert data, "the service closed a connection"
        if not self.call.came:
            self.call.noticed = time.time_ns()
            self.call.came = _stamp(ancillary) or self.call.noticed
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return None
        call, self.call, self.got = self.call, None, bytearray()
        call.status, call.retry_after, call.body = int(head[9:12]), b"\r\nretry-after:" in head.lower(), bytes(body)
        return call


class Flood:
    """All connections, and what has been answered."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.port: int = order["port"]
        self.requests = [_request(order["model"], text) for text in order["texts"]]
        self.poll = select.epoll()
        self.lines: dict[int, Line] = {}
        self.idle: deque[Line] = deque()
        self.done: list[Call] = []
        for _ in range(order["connections"]):
            self.connect()
        time.sleep(1.0)  # until the service has taken them all in

    def connect(self) -> None:
        """One more connection, with nothing on its way."""
        line = Line(_connected(self.port))
        self.poll.register(line.sock, select.EPOLLIN)
        self.lines[line.sock.fileno()] = line
        self.idle.append(line)

    def close(self) -> None:
        """All of them."""
        self.poll.close()
        for line in self.lines.values():
            line.sock.close()

    def go(self, call: Call) -> None:
        """Send it on the connection that has been idle for longest."""
        self.idle.popleft().send(call, self.requests[call.text % len(self.requests)])

    def hear(self, until: int) -> list[Call]:
        """What is answered by a moment; returns at the first answers."""
        heard = []
        for number, _ in self.poll.poll(max(0.0, (until - time.time_ns()) / SECOND)):
            line = self.lines[number]
            if line.call is None:
                self._renew(line)
            elif (call := line.receive()) is not None:
                heard.append(call)
                self.idle.append(line)
        self.done += heard
        return heard

    def hear_all(self, seconds: float = 90.0) -> None:
        """Wait until nothing is on its way: longer than a service takes to say that it is too late (60 s)."""
        end = time.time_ns() + int(seconds * SECOND)
        while len(self.idle) < len(self.lines):
            assert time.time_ns() < end, f"{len(self.lines) - len(self.idle)} requests were never answered"
            self.hear(end)

    def _renew(self, line: Line) -> None:
        """The service has sent an idle connection away, as it may."""
        self.idle.remove(line)
        del self.lines[line.sock.fileno()]
        line.sock.close()
        self.connect()


def open_loop(flood: Flood, rate: float, seconds: float) -> None:
    """Requests at random moments (a Poisson process), ``rate`` a second, whether or not others are answered."""
    draw, due = random.Random(1), time.time_ns()
    end, count = due + int(seconds * SECOND), 0
    while due < end:
        while time.time_ns() < due or not flood.idle:
            flood.hear(due)
        flood.go(Call(count, due))
        count += 1
        due += int(draw.expovariate(rate) * SECOND)
    flood.hear_all()


def bursts(flood: Flood, times: int, pause: float) -> None:
    """A request on every connection, as fast as they can be sent; again ``pause`` seconds after all are answered."""
    for turn in range(times):
        size = len(flood.lines)
        for number in range(size):
            flood.go(Call(turn * size + number, time.time_ns()))
        flood.hear_all()
        again = time.time_ns() + int(pause * SECOND)
        while time.time_ns() < again:
            flood.hear(again)


def closed_loop(flood: Flood, seconds: float) -> None:
    """Every connection asks again: a second after a refusal (the least Retry-After says), at once when answered."""
    now = time.time_ns()
    end, agenda = now + int(seconds * SECOND), [(now, number) for number in range(len(flood.lines))]
    while (now := time.time_ns()) < end:
        due, text = agenda[0] if agenda else (end, 0)
        if due <= now:
            heapq.heappop(agenda)
            flood.go(Call(text, due))
            continue
        for call in flood.hear(min(due, end)):
            heapq.heappush(agenda, (time.time_ns() + (SECOND if call.status == 429 else 0), call.text + 1))
    flood.hear_all()


def obey(order: dict[str, Any]) -> list[Call]:
    """The calls of one order."""
    flood = Flood(order)
    try:
        match order["kind"]:
            case "open":
                open_loop(flood, order["rate"], order["seconds"])
            case "bursts":
                bursts(flood, order["times"], order.get("pause", 1.0))
            case "closed":
                closed_loop(flood, order["seconds"])
        return flood.done
    finally:
        flood.close()


def _connected(port: int) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setblocking(False)
    return sock


def _request(model: str, text: str) -> bytes:
    body = json.dumps({"inputs": [text]}).encode()
    head = f"POST /v1/models/{model}/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _stamp(ancillary: Sequence[tuple[int, int, bytes]]) -> int:
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack("@ll", data)
            return int(seconds * SECOND + nanoseconds)
    return 0


def _length(head: bytearray) -> int:
    for line in bytes(head).lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    raise AssertionError(f"an answer without a length: {bytes(head)!r}")


def told(call: Call, texts: int) -> dict[str, Any]:
    """A call as it is reported: durations in nanoseconds."""
    return {
        "text": call.text % texts,
        "status": call.status,
        "retry_after": call.retry_after,
        "latency": call.came - call.sent,
        "noticed_late": call.noticed - call.came,
        "sent_late": call.sent - call.due,
        "body": call.body.decode() if call.status == 200 else "",
    }


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        print(json.dumps([told(call, len(order["texts"])) for call in obey(order)]), flush=True)


if __name__ == "__main__":
    main()
