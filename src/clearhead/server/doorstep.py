"""Refusals of a full model at the first sight of a request: before it is a task, a route, or a body in memory.

A refusal is worth something only while it costs next to nothing, and whoever is refused comes at the worst of times. So
the head of a plain POST to a model is read here by one regular expression, the gate is asked as for every request, and
where the model has no room the whole answer is made at once. Everything else (a head that is not whole or not plain,
whom the gate refuses, a model with room) is nobody's business here and takes the usual way, on which the answer to the
same request would be the same.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass

from clearhead.server.journal import Entry, Journal, with_safe
from clearhead.server.refusal import Refusal

ADDRESS = rb"/v1/models/([A-Za-z0-9][A-Za-z0-9._-]{0,99})/(predict|inspect)"
LINES = rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:[ -~]*\r\n)+"
PLAIN = re.compile(rb"POST (" + ADDRESS + rb") HTTP/1\.1\r\n(" + LINES + rb")\r\n")
LENGTH = re.compile(rb"[0-9]{1,15}")
OTHER_WAYS = {b"transfer-encoding", b"expect", b"upgrade"}  # of sending a body, or of going on


@dataclass(frozen=True, slots=True)
class Head:
    """The head of a plain request: HTTP/1.1, one Content-Length, a connection that is kept."""

    path: bytes
    model: str
    action: str
    headers: list[tuple[bytes, bytes]]
    size: int
    body: int

    @property
    def route(self) -> str:
        """As in the journal."""
        return f"/v1/models/{{name}}/{self.action}"


@dataclass(frozen=True, slots=True)
class Turned:
    """A refusal to send now, and how many bytes of the request are still to come, to be thrown away."""

    refusal: Refusal
    headers: list[tuple[bytes, bytes]]
    unread: int


class Doorstep:
    """Asked by every connection when bytes come between two requests."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.gate = journal.gate
        self.house = journal.house
        self.ahead = 0  # requests that were let in this turn of the loop, and get a place in the next

    def turn_away(self, data: bytes) -> Turned | None:
        """The refusal of the request that begins with ``data``; None where it takes the usual way."""
        if not self.house.crowded(self.ahead):
            self._let_in()
            return None
        began = time.monotonic()
        limits = self.house.settings.limits
        head = read_head(data, limits.head_bytes)
        if head is None or head.body > limits.body_bytes or head.size + head.body < len(data):
            return None
        if not self._comes_in(head):
            return None
        try:
            self.house.admit(head.model, self.ahead)
        except Refusal as refusal:
            entry = Entry(began, refusal.status, finished=True)
            self.journal.note(entry, "POST", head.route, {})
            return Turned(refusal, with_safe(refusal.raw_headers, entry.id), head.size + head.body - len(data))
        self._let_in()
        return None

    def _let_in(self) -> None:
        """Many may knock in one turn of the loop, before the first of them has a place."""
        if not self.ahead:
            asyncio.get_running_loop().call_soon(self._turn)
        self.ahead += 1

    def _turn(self) -> None:
        self.ahead = 0

    def _comes_in(self, head: Head) -> bool:
        """Whether the gate lets the request through to a model there is."""
        try:
            self.gate.check({"method": "POST", "raw_path": head.path, "query_string": b"", "headers": head.headers})
        except Refusal:
            return False
        return head.model in self.house.models


def read_head(data: bytes, most: int) -> Head | None:
    """The head at the beginning of ``data``, where it is whole, plain and of at most ``most`` bytes."""
    match = PLAIN.match(data)
    if match is None or match.end() > most:
        return None
    pairs = (line.partition(b":") for line in match[4].split(b"\r\n")[:-1])
    headers = [(name.lower(), value.strip(b" ")) for name, _, value in pairs]
    found = {b"connection": b"keep-alive"} | dict(headers)
    length = found.get(b"content-length", b"")
    twice = len(dict(headers)) < len(headers)
    if twice or OTHER_WAYS & found.keys() or found[b"connection"] != b"keep-alive" or not LENGTH.fullmatch(length):
        return None
    return Head(match[1], match[2].decode(), match[3].decode(), headers, match.end(), int(length))
