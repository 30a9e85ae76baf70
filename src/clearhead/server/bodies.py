"""The body of a request: bounded in size, declared or chunked, and in the time it takes to arrive."""

from __future__ import annotations

import asyncio

from fastapi import Request

from clearhead.errors import RunError
from clearhead.server.refusal import Refusal
from clearhead.server.settings import Limits
from clearhead.strict_json import parse_json


class Bodies:
    """All bodies that are being read, which together are bounded too."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.bytes = 0

    async def read(self, request: Request) -> bytes:
        """One of them, whole.

        Raises:
            Refusal: 413, 408 or 429.
            ClientDisconnect: the client has gone.
        """
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.read_seconds):
                async for chunk in request.stream():
                    body += chunk
                    self._take(len(chunk), len(body))
        except TimeoutError:
            sentence = f"the body did not arrive within {self.limits.read_seconds:g} seconds"
            raise Refusal(408, sentence, {"Connection": "close"}) from None
        finally:
            self.bytes -= len(body)
        return bytes(body)

    def _take(self, more: int, whole: int) -> None:
        self.bytes += more
        if whole > self.limits.body_bytes:
            raise too_large(self.limits)
        if self.bytes > self.limits.all_bodies_bytes:
            headers = {"Connection": "close", "Retry-After": "1"}
            raise Refusal(429, "too many bodies are being read at a time; try again later", headers)


async def read_object(request: Request, bodies: Bodies) -> dict[str, object]:
    """The JSON object in the body: UTF-8, no key twice, nothing deeper than 32, no number that is none.

    Raises:
        Refusal: 400, 408, 413, 415 or 429.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "expected a body of Content-Type: application/json")
    refuse_declared(request, bodies.limits)
    raw = await bodies.read(request)
    try:
        return parse_json(raw, "the body")
    except RunError as error:
        raise Refusal(400, str(error)) from None


def refuse_declared(request: Request, limits: Limits) -> None:
    """Refuse a body that says itself that it is too large.

    Raises:
        Refusal: 400 or 413.
    """
    declared = request.headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()):
        raise Refusal(400, "expected Content-Length to be a number of bytes")
    if int(declared[:20]) > limits.body_bytes:
        raise too_large(limits)


def too_large(limits: Limits) -> Refusal:
    """What is said of a body over the limit; the rest of it is not read."""
    return Refusal(413, f"expected a body of at most {limits.body_bytes} bytes", {"Connection": "close"})
