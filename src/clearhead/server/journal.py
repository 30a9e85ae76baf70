"""The outermost layer: every request is counted, timed, logged in one line without a word of what it said, and answered
with headers that keep a browser from doing anything with the answer but showing it.

An error nobody expected is logged by its type and the places it went through, never by its message, which may quote a
user's text.
"""

from __future__ import annotations

import logging
import random
import secrets
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from clearhead.server.gate import Gate
from clearhead.server.house import House
from clearhead.server.log import Fact, log
from clearhead.server.refusal import failure

SAFE = {
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cache-control": b"no-store",
}


NUMBERS = random.Random(secrets.randbits(128))  # of requests: no secrets, so each need not be asked of the system


def _new_id() -> str:
    return f"{NUMBERS.getrandbits(64):016x}"


@dataclass(slots=True)
class Entry:
    """What is noted of one request."""

    began: float
    status: int = 0
    finished: bool = False
    id: str = field(default_factory=_new_id)


class Journal:
    """ASGI middleware around everything else."""

    def __init__(self, gate: Gate, house: House) -> None:
        self.gate = gate
        self.house = house

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on, and note how it went."""
        if scope["type"] != "http":
            await self.gate(scope, receive, send)
            return
        entry = Entry(time.monotonic())
        scope["clearhead.id"], scope["clearhead.facts"] = entry.id, {}

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                message["headers"] = with_safe(message.get("headers", ()), entry.id)
            await send(message)
            entry.finished = message["type"] == "http.response.body" and not message.get("more_body", False)

        self.house.active += 1
        self.house.metrics.active.inc()
        try:
            await self._answer(scope, receive, noted, entry)
        finally:
            self.house.active -= 1
            self.house.metrics.active.dec()
            self.note(entry, _method(scope), route_of(scope), scope["clearhead.facts"])

    async def _answer(self, scope: Scope, receive: Receive, send: Send, entry: Entry) -> None:
        try:
            await self.gate(scope, receive, send)
        except ClientDisconnect:
            return
        except Exception as error:
            _log_failure(error, entry.id)
            if not entry.status:
                await failure(entry.id).send(send)

    def note(self, entry: Entry, method: str, route: str, more: Mapping[str, Fact]) -> None:
        """Count a request and log it, once, when all is over."""
        status, seconds = entry.status if entry.finished else 499, time.monotonic() - entry.began
        self.house.metrics.requests.labels(route, str(status)).inc()
        self.house.metrics.seconds.labels(route).observe(seconds)
        facts: dict[str, Fact] = {"id": entry.id, "method": method, "route": route, "status": status}
        log("request", facts | dict(more) | {"seconds": round(seconds, 6)})


def route_of(scope: Scope) -> str:
    """The template of the route that answered, such as "/v1/models/{name}/predict"; "other" where none did."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else "other"


def _method(scope: Scope) -> str:
    return scope["method"] if scope["method"] in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} else "other"


def with_safe(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    """An answer's headers with what is said to every browser, and the request's number."""
    given = list(headers)
    names = {name.lower() for name, _ in given}
    added = [(name, value) for name, value in SAFE.items() if name not in names]
    return [*given, *added, (b"x-request-id", request_id.encode())]


def _log_failure(error: Exception, request_id: str) -> None:
    places = [
        f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
    ]
    facts: dict[str, Fact] = {"id": request_id, "error": type(error).__name__, "places": places[-8:]}
    log("failure", facts, level=logging.ERROR)
