"""What the service allows: who may come, how much of everything, how long. Small frozen values, checked first."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

Seconds = Annotated[float, Field(gt=0, le=86_400)]
Count = Annotated[int, Field(ge=1, le=1 << 31)]
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
SHORTEST_TOKEN = 16


class Limits(Settings):
    """Bounds of one request and of all together; what exceeds one is refused with a sentence that names it.

    ``queue_texts`` may wait for a model at a time, beside the ``batch_texts`` that are in work together, which as one
    rectangle have at most ``batch_characters``. ``inspect_numbers`` is the most numbers an inspection may answer with,
    ``inspect_json_numbers`` the same where it is asked for as JSON, which takes ten times the work.
    ``all_bodies_bytes`` bounds the bodies that are being read at a time, of all requests together.
    ``deadline`` is what a request may take in all; ``read_seconds`` what its head, and then its body, may take to
    arrive; ``drain_seconds`` what accepted requests are given once the service is asked to stop.
    """

    body_bytes: Count = 1 << 20
    all_bodies_bytes: Count = 128 << 20
    head_bytes: Count = 32 << 10
    texts: Count = 256
    characters: Count = 20_000
    queue_texts: Count = 512
    batch_texts: Count = 64
    batch_characters: Count = 64_000
    inspect_numbers: Count = 8_000_000
    inspect_json_numbers: Count = 500_000
    connections: Count = 2048
    deadline: Seconds = 60.0
    read_seconds: Seconds = 10.0
    idle_seconds: Seconds = 15.0
    drain_seconds: Seconds = 30.0

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.texts > self.queue_texts:
            raise ValueError(f"texts: a request of {self.texts} never fits a queue of {self.queue_texts} texts")
        return self


class ServerSettings(Settings):
    """Where the service listens and whom it answers.

    ``token`` is asked for on every route but liveness once it is set, and it has to be set where ``host`` is no
    loopback address. ``allowed_hosts`` are names, without a port, that a request's Host may have beside loopback ones
    (and, where a token is set, any numeric address); ``allowed_origins`` such as "https://example.org" beside the
    address itself.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    limits: Limits = Limits()

    @property
    def loopback(self) -> bool:
        """Whether nobody outside this machine can reach ``host``."""
        return is_loopback(self.host)

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.token is not None and (len(self.token) < SHORTEST_TOKEN or not _printable(self.token)):
            raise ValueError(f"token: expected at least {SHORTEST_TOKEN} visible ASCII characters, without spaces")
        if self.token is None and not self.loopback:
            raise ValueError(
                f"host: {self.host!r} can be reached from other machines, which needs a token: give --token-file, "
                "or listen on 127.0.0.1"
            )
        return self


def is_loopback(host: str) -> bool:
    """Whether ``host`` is "localhost" or a numeric loopback address; every other name may be anywhere."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_numeric(host: str) -> bool:
    """Whether ``host`` is a numeric address, which no name server can turn elsewhere."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _printable(token: str) -> bool:
    return token.isascii() and all("!" <= character <= "~" for character in token)
