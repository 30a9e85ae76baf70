"""Who may come in: Host, Origin and token of every request, whatever its method or the spelling of its path.

It stands before all routing and asks nothing of the path but whether it is liveness to the byte, so that no spelling
leads around it. The Host is checked because a name server can point any name at a loopback address (CVE-2024-28224
and its kin), the Origin because any page in a browser may send requests here.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from clearhead.server.refusal import Refusal
from clearhead.server.settings import LOOPBACK_NAMES, ServerSettings, is_numeric

LIVENESS = b"/health/live"
CHALLENGE = {"WWW-Authenticate": 'Bearer, Basic realm="clearhead: the token is the password", charset="UTF-8"'}


class Gate:
    """ASGI middleware that answers itself whom it does not let in."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self.app = app
        self.settings = settings
        self.hosts = {*LOOPBACK_NAMES, *(name.lower() for name in settings.allowed_hosts)}
        self.origins = {origin.lower() for origin in settings.allowed_origins}
        self.digest = None if settings.token is None else _digest(settings.token.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on."""
        if scope["type"] != "lifespan":
            try:
                self.check(scope)
            except Refusal as refusal:
                await refusal.send(send)
                return
        await self.app(scope, receive, send)

    def check(self, scope: Scope) -> None:
        """Refuse a request for its Host, its Origin or its token.

        Raises:
            Refusal: 400, 421, 403 or 401.
        """
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        host = self._host(_single(headers, b"host"))
        self._origin(headers, host)
        if self.digest is not None and not _is_liveness(scope) and not self._knows_token(headers):
            raise Refusal(401, "this service asks for its token: send Authorization: Bearer TOKEN", CHALLENGE)

    def _host(self, host: str | None) -> str:
        name = host_name(host or "")
        if name is None:
            raise Refusal(400, "expected one Host header with a name and perhaps a port")
        if name not in self.hosts and not (self.digest is not None and is_numeric(name)):
            raise Refusal(421, "this service is not known under that Host; allow it with --allow-host NAME")
        return (host or "").lower()

    def _origin(self, headers: list[tuple[bytes, bytes]], host: str) -> None:
        origin = (_single(headers, b"origin") or "").lower()
        if origin and origin not in {f"http://{host}", f"https://{host}"} | self.origins:
            raise Refusal(403, "requests from pages of another origin are refused; allow one with --allow-origin")
        site, mode = _single(headers, b"sec-fetch-site"), _single(headers, b"sec-fetch-mode")
        if not origin and site in {"cross-site", "same-site"} and mode != "navigate":
            raise Refusal(403, "requests from pages of another site are refused")

    def _knows_token(self, headers: list[tuple[bytes, bytes]]) -> bool:
        assert self.digest is not None
        given = _credentials(_single(headers, b"authorization") or "")
        return given is not None and hmac.compare_digest(_digest(given), self.digest)


def host_name(host: str) -> str | None:
    """The name in a Host header in lower case, without its port; None where the header is no such thing."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port
    except ValueError:
        return None
    if not name or parts.username is not None or parts.path or parts.query or parts.fragment or "@" in host:
        return None
    return f"[{name}]" if ":" in name else name


def _is_liveness(scope: Scope) -> bool:
    return scope["method"] in {"GET", "HEAD"} and scope.get("raw_path") == LIVENESS and not scope["query_string"]


def _credentials(header: str) -> bytes | None:
    """The token in ``Bearer TOKEN``, or the password in ``Basic …``, which is what a browser asks its user for."""
    scheme, _, value = header.partition(" ")
    if scheme.lower() == "bearer":
        return value.strip().encode("latin-1")
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value.strip(), validate=True).partition(b":")[2]
        except (binascii.Error, ValueError):
            return None
    return None


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def _single(headers: list[tuple[bytes, bytes]], wanted: bytes) -> str | None:
    """The header's value; a header that comes twice is refused, as two readers might take different ones."""
    found = [value for name, value in headers if name == wanted]
    if len(found) > 1:
        raise Refusal(400, f"expected the header {wanted.decode()} at most once, got {len(found)}")
    return found[0].decode("latin-1") if found else None
