"""The service as a process: a socket, a loop, and an end in which everything that was accepted is answered.

At the first SIGTERM or SIGINT the house stops accepting (``/health/ready`` says 503 from then on, on the same socket);
when the last accepted request has been answered, or ``drain_seconds`` have passed, the process ends with status 0. A
second signal ends it at once.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable
from types import FrameType

import uvicorn

from clearhead.errors import ConfigurationError
from clearhead.server.app import create_app
from clearhead.server.doorstep import Doorstep
from clearhead.server.house import House
from clearhead.server.log import log
from clearhead.server.protocol import connection_of
from clearhead.server.settings import is_loopback
from clearhead.server.turns import undisturbed

JOIN_SECONDS = 5.0  # for a model to notice, at its next token, that nobody waits any more


class Server(uvicorn.Server):
    """uvicorn with the end described above."""

    def __init__(self, config: uvicorn.Config, house: House) -> None:
        super().__init__(config)
        self.house = house
        self.asked = 0.0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop accepting; at the second signal, end."""
        if self.asked:
            os._exit(128 + sig)
        self.asked = time.monotonic()
        self.house.stop()

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: whether it is time to go."""
        if self.asked:
            waited = time.monotonic() - self.asked
            if not self.house.active or waited > self.house.settings.limits.drain_seconds:
                self.should_exit = True
        return await super().on_tick(counter)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket at that address, and only there.

    Raises:
        ConfigurationError: the address is taken or is not this machine's.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigurationError(f"cannot listen on {host}, port {port}: {reason}") from None
    if is_loopback(host) and not is_loopback(sock.getsockname()[0]):
        sock.close()
        raise ConfigurationError(f"cannot listen on {host}: expected a loopback address, but it is {address[0]} here")
    return sock


def server_of(house: House) -> Server:
    """A server of the house, not yet running."""
    limits, app = house.settings.limits, create_app(house)
    config = uvicorn.Config(
        app,
        http=connection_of(limits, Doorstep(app)),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=limits.connections,
        limit_concurrency=limits.connections,
        timeout_keep_alive=max(1, int(limits.idle_seconds)),
        timeout_graceful_shutdown=2,
        h11_max_incomplete_event_size=limits.head_bytes,
    )
    return Server(config, house)


def serve(server: Server, sock: socket.socket, ready: Callable[[], None] = lambda: None) -> None:
    """Answer requests on ``sock`` until a signal ends it; ``ready`` is called once it does."""
    with undisturbed():
        asyncio.run(_serve(server, sock, ready))
    server.house.join(JOIN_SECONDS)
    log("stopped", {})


async def _serve(server: Server, sock: socket.socket, ready: Callable[[], None]) -> None:
    serving = asyncio.ensure_future(server.serve(sockets=[sock]))
    while not server.started and not serving.done():
        await asyncio.sleep(0.01)
    if server.started:
        ready()
    await serving
