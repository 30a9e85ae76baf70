"""``"stream": true``: a predict whose answer goes out while it is written."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from clearhead.errors import ClearheadError
from clearhead.server.hosted import Hosted
from clearhead.server.leaving import while_connected
from clearhead.server.refusal import Refusal
from clearhead.server.schema import PredictRequest
from clearhead.server.stream import Event, Stream, event_bytes

EVENT_STREAM = "text/event-stream"
EVENT = {
    "type": "object",
    "description": "One server-sent event; data is JSON.",
    "properties": {"event": {"enum": ["token", "progress", "result", "error", "done"]}, "data": {"type": "string"}},
    "required": ["event", "data"],
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"content": {EVENT_STREAM: {"schema": EVENT}}, "description": 'Results; events with "stream".'}
}


async def streamed(hosted: Hosted, asked: PredictRequest, deadline: float, request: Request) -> Response:
    """The events of an accepted request.

    What goes wrong before the first of them is a plain refusal; afterwards it is an event ``error``.

    Raises:
        Refusal, ClearheadError
    """
    stream = Stream(hosted.predictor, asked.inputs)
    job = hosted.texts(asked.inputs, asked.decoding.given(), deadline, stream.listen)
    stream.follow(job)
    hosted.enter(job)
    events = stream.until(job)
    try:
        first: Event = await while_connected(request, _first(events))
    except BaseException:
        hosted.drop(job)
        raise
    return EventResponse(_sent(first, events), lambda: hosted.drop(job))


class EventResponse(StreamingResponse):
    """Events as they come; ``over`` is called when they have gone out, or the client has gone."""

    def __init__(self, content: AsyncIterator[bytes], over: Callable[[], None]) -> None:
        super().__init__(content, media_type=EVENT_STREAM, headers={"X-Accel-Buffering": "no"})
        self.over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self.over()


async def _first(events: AsyncIterator[Event]) -> Event:
    return await anext(events)


async def _sent(first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    yield event_bytes(first)
    try:
        async for event in rest:
            yield event_bytes(event)
    except Refusal as refusal:
        yield event_bytes(("error", refusal.error))
    except ClearheadError as error:
        yield event_bytes(("error", Refusal(500, str(error)).error))
