"""A request that is not answered: one status, one sentence, as JSON; and how that is sent below any framework."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property

from starlette.types import Send

CODES = {
    400: "malformed",
    401: "unauthorised",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    408: "too_slow",
    410: "gone",
    413: "too_large",
    415: "media_type",
    421: "foreign_host",
    422: "invalid",
    429: "full",
    500: "failure",
    503: "stopping",
    504: "deadline",
}

LONGEST = 500


class Refusal(Exception):
    """Raised anywhere on the way of a request; ``sentence`` goes to the client, cut to a readable length."""

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})

    @cached_property
    def body(self) -> bytes:
        """``{"error": {"code": …, "message": …}}``."""
        return error_body(self.status, self.sentence)

    @property
    def error(self) -> dict[str, dict[str, str]]:
        """The same as a table."""
        return error_of(self.status, self.sentence)

    @property
    def raw_headers(self) -> list[tuple[bytes, bytes]]:
        """Its headers as they are sent."""
        headers = {"content-type": "application/json", "content-length": str(len(self.body)), **self.headers}
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]

    async def send(self, send: Send) -> None:
        """Answer with it."""
        await send({"type": "http.response.start", "status": self.status, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body})


def error_of(status: int, sentence: str) -> dict[str, dict[str, str]]:
    """What a refused request gets to read."""
    cut = sentence if len(sentence) <= LONGEST else sentence[: LONGEST - 1] + "…"
    return {"error": {"code": CODES.get(status, "refused"), "message": cut}}


def error_body(status: int, sentence: str) -> bytes:
    """The same as JSON."""
    return json.dumps(error_of(status, sentence), ensure_ascii=False).encode("utf-8", "replace")


STOPPING = Refusal(503, "the service is stopping and accepts no more requests", {"Retry-After": "5"})


def failure(request_id: str) -> Refusal:
    """What is said where nobody knows what to say."""
    return Refusal(500, f"something failed here; its number in the log is {request_id}")
