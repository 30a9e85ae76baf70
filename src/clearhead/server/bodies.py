"""The body of a request: bounded in size, declared or chunked, and in the time it takes to arrive."""

from __future__ import annotations

import asyncio

from fastapi import Request

from clearhead.errors import RunError
from clearhead.server.refusal import Refusal
from clearhead.server.settings import Limits
from clearhead.strict_json import parse_json


async def read_body(request: Request, limits: Limits) -> bytes:
    """All of it.

    Raises:
        Refusal: 413 or 408.
        ClientDisconnect: the client has gone.
    """
    declared = request.headers.get("content-length", "0")
    if not (declared.isascii() and declared.isdigit()):
        raise Refusal(400, "expected Content-Length to be a number of bytes")
    if int(declared[:20]) > limits.body_bytes:
        raise too_large(limits)
    body = bytearray()
    try:
        async with asyncio.timeout(limits.read_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.body_bytes:
                    raise too_large(limits)
    except TimeoutError:
        sentence = f"the body did not arrive within {limits.read_seconds:g} seconds"
        raise Refusal(408, sentence, {"Connection": "close"}) from None
    return bytes(body)


async def read_object(request: Request, limits: Limits) -> dict[str, object]:
    """The JSON object in the body: UTF-8, no key twice, nothing deeper than 32, no number that is none.

    Raises:
        Refusal: 400, 408, 413 or 415.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refusal(415, "expected a body of Content-Type: application/json")
    raw = await read_body(request, limits)
    try:
        return parse_json(raw, "the body")
    except RunError as error:
        raise Refusal(400, str(error)) from None


def too_large(limits: Limits) -> Refusal:
    """What is said of a body over the limit; the rest of it is not read."""
    return Refusal(413, f"expected a body of at most {limits.body_bytes} bytes", {"Connection": "close"})
