"""A service in this process, on a loopback port of its own, with a client that speaks plain HTTP to it."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from clearhead.server.app import create_house
from clearhead.server.house import House
from clearhead.server.run import Server, listen, serve, server_of
from clearhead.server.settings import ServerSettings
from clearhead.service.serving import Served

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return str(self.json["error"]["message"])


@dataclass(frozen=True)
class Service:
    """A running service."""

    house: House
    server: Server
    port: int

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, timeout: float = 30
    ) -> Reply:
        """One request on a connection of its own; a body that is no bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        content = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        try:
            connection.request(method, path, content, (JSON if content is not None else {}) | dict(headers or {}))
            response = connection.getresponse()
            lowered = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, lowered, response.read())
        finally:
            connection.close()

    def measured(self, name: str) -> float:
        """The value of one of the model's counters."""
        return self.house.metrics.registry.get_sample_value(f"clearhead_{name}", {"model": "toy"}) or 0.0

    def predict(self, inputs: Sequence[Any], name: str = "toy", **more: Any) -> Reply:
        """Ask a model for answers."""
        return self.ask("POST", f"/v1/models/{name}/predict", {"inputs": inputs, **more})


@contextmanager
def running(served: Sequence[Served], settings: ServerSettings | None = None) -> Iterator[Service]:
    """The service while the context is open."""
    house = create_house(served, settings)
    sock, ready = listen("127.0.0.1", 0), threading.Event()
    server = server_of(house)
    thread = threading.Thread(target=serve, args=(server, sock, ready.set))
    thread.start()
    assert ready.wait(30)
    try:
        yield Service(house, server, sock.getsockname()[1])
    finally:
        if not server.asked:
            server.handle_exit(15, None)
        thread.join(40)
        assert not thread.is_alive()


async def exchange(port: int, request: bytes, timeout: float = 30) -> Reply:
    """Send bytes, read one answer; the connection is closed by whoever answers, or by its length."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(timeout):
            writer.write(request)
            return await answer(reader)
    finally:
        writer.close()


async def answer(reader: asyncio.StreamReader) -> Reply:
    """The answer that comes next."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in head[1:] if line]
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    return Reply(int(head[0].split()[1]), headers, await reader.readexactly(int(headers["content-length"])))


def post(path: str, body: Any) -> bytes:
    """A whole request as bytes."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content


def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something another thread does; never a measure of how fast it is."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
