"""One connection: uvicorn's own, with a limit on how long a client may take to say what it wants or to read the answer,
and with a doorstep where requests are turned away that find no room.

uvicorn bounds the size of a request's head and the time between two requests, but a client that sends its head, or the
rest of a body nobody wants, byte by byte would hold its connection for ever; so would one that does not read.
"""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from clearhead.server.doorstep import Doorstep, Turned
from clearhead.server.refusal import error_body
from clearhead.server.settings import Limits

UNREADABLE = "this is not a request of HTTP/1.1, or its head is too large"
LATE = "the request's head did not arrive in time"


class Connection(H11Protocol):
    """See above; ``limits`` and ``doorstep`` are set by ``connection_of``."""

    limits: Limits
    doorstep: Doorstep
    _unread = 0  # bytes to come of the body of a request that was turned away
    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, and may not wait long with its first request."""
        super().connection_made(transport)
        self._late = self.loop.call_later(self.limits.read_seconds, self._give_up)

    def data_received(self, data: bytes) -> None:
        """Some bytes came; is the client still to send something?"""
        if self._unread:
            data = self._throw_away(data)
        elif self._between and (turned := self.doorstep.turn_away(data)) is not None:
            self._turn_away(turned)
            data = b""
        if data:
            super().data_received(data)
        self._expect()

    def on_response_complete(self) -> None:
        """An answer is out; is the client still to send something?"""
        super().on_response_complete()
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        super().connection_lost(exc)
        self._stop("_late", "_stuck")

    def pause_writing(self) -> None:
        """The client does not read as fast as is written; not for long."""
        super().pause_writing()
        self._stuck = self.loop.call_later(self.limits.read_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """It reads."""
        super().resume_writing()
        self._stop("_stuck")

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says to bytes it cannot read, as every other refusal is said."""
        self._refuse(400, UNREADABLE)

    @property
    def _between(self) -> bool:
        """Whether nothing of another request has come, as far as h11 knows."""
        return self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]

    def _turn_away(self, turned: Turned) -> None:
        """Answer a request of which h11 has never heard."""
        self._unset_keepalive_if_required()
        status = turned.refusal.status
        lines = [b"%b: %b\r\n" % each for each in (*self.server_state.default_headers, *turned.headers)]
        first = b"HTTP/1.1 %d %b\r\n" % (status, STATUS_PHRASES[status])
        self.transport.write(b"".join((first, *lines, b"\r\n", turned.refusal.body)))
        self._unread = turned.unread
        if not self._unread:
            super().on_response_complete()

    def _throw_away(self, data: bytes) -> bytes:
        """What comes after the body of a request that was turned away."""
        rest = data[self._unread :]
        self._unread -= len(data) - len(rest)
        if not self._unread:
            super().on_response_complete()
        return rest

    def _expect(self) -> None:
        """Run the clock while a request has begun and is not whole, and nobody here works on an answer."""
        answering = self.cycle is not None and not self.cycle.response_complete
        between = self._between and not self._unread
        if answering or between or self.transport.is_closing():
            self._stop("_late")
        elif self._late is None:
            self._late = self.loop.call_later(self.limits.read_seconds, self._give_up)

    def _stop(self, *clocks: str) -> None:
        for name in clocks:
            timer: asyncio.TimerHandle | None = getattr(self, name)
            if timer is not None:
                timer.cancel()
            setattr(self, name, None)

    def _give_up(self) -> None:
        if not self.transport.is_closing():
            self._refuse(408, LATE)

    def _refuse(self, status: int, sentence: str) -> None:
        if self.cycle is not None:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self._unread or self.conn.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
            self.transport.abort()
            return
        body = error_body(status, sentence)
        headers = [("content-type", "application/json"), ("content-length", str(len(body))), ("connection", "close")]
        for event in (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def connection_of(limits: Limits, doorstep: Doorstep) -> type[Connection]:
    """The class of connections with these limits and this doorstep, as uvicorn wants it."""
    return type("BoundedConnection", (Connection,), {"limits": limits, "doorstep": doorstep})
