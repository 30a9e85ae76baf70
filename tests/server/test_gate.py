"""Who may come in: Host, Origin and token, on every method and under every spelling of a path."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import pytest
from pydantic import ValidationError

from clearhead.server.gate import host_name
from clearhead.server.run import listen
from clearhead.server.settings import ServerSettings, is_loopback
from clearhead.service.serving import Served

from .running import Service, running

TOKEN = "a-token-of-more-than-sixteen"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")
FOREIGN_HOSTS = ("evil.example", "evil.example:80", "localhost.evil.example", "127.0.0.1.nip.io", "[::2]", "10.0.0.1")
NO_HOSTS = ("", "a@localhost", "localhost/x", "localhost:no", "localhost:99999999")
FOREIGN_ORIGINS = ("https://evil.example", "null", "http://localhost:1", "http://127.0.0.1", "file://")
SPELLINGS = (
    "/v1/models",
    "//v1/models",
    "/v1//models",
    "/v1/models/",
    "/V1/MODELS",
    "/%76%31/models",
    "/v1/%2e%2e/v1/models",
    "/health/live/../../v1/models",
    "/health/live%2f..%2f..%2fv1/models",
    "/health/ready",
    "/health/live/",
    "//health/live",
    "/health/live?x=1",
    "/health/LIVE",
    "/%68ealth/live",
    "/metrics",
    "/openapi.json",
    "/",
    "/assets/x.js",
    "/nothing",
)


@pytest.fixture(scope="module")
def guarded(toy: Served) -> Iterator[Service]:
    with running([toy], ServerSettings(token=TOKEN, allowed_hosts=("Models.Example",))) as found:
        yield found


@pytest.mark.parametrize("method", METHODS)
def test_a_foreign_host_is_refused_whatever_the_method(service: Service, method: str) -> None:
    for host in FOREIGN_HOSTS:
        assert service.ask(method, "/v1/models", headers={"Host": host}).status == 421, host
    for host in NO_HOSTS:
        assert service.ask(method, "/health/live", headers={"Host": host}).status == 400, host


@pytest.mark.parametrize("method", METHODS)
def test_a_foreign_origin_is_refused_whatever_the_method(service: Service, method: str) -> None:
    for origin in FOREIGN_ORIGINS:
        assert service.ask(method, "/v1/models", headers={"Origin": origin}).status == 403, origin
    for site in ("cross-site", "same-site"):
        assert service.ask(method, "/v1/models", headers={"Sec-Fetch-Site": site}).status == 403


def test_the_own_origin_and_loopback_names_are_let_in(service: Service) -> None:
    for host in ("localhost", "LOCALHOST:9", "127.0.0.1:1", "[::1]:80"):
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert service.ask("GET", "/v1/models", headers=headers).status == 200, host
    navigation = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert service.ask("GET", "/health/live", headers=navigation).status == 200


@pytest.mark.parametrize("path", SPELLINGS)
def test_without_the_token_no_spelling_of_a_path_leads_in(guarded: Service, path: str) -> None:
    for method in METHODS:
        reply = guarded.ask(method, path)
        assert reply.status == 401, method
        assert reply.headers["www-authenticate"].startswith("Bearer")


def test_liveness_alone_asks_for_no_token(guarded: Service) -> None:
    assert guarded.ask("GET", "/health/live").json == {"status": "live"}
    for method in set(METHODS) - {"GET", "HEAD"}:
        assert guarded.ask(method, "/health/live").status == 401


def test_the_token_opens_as_bearer_and_as_a_browsers_password(guarded: Service) -> None:
    password = base64.b64encode(f"anybody:{TOKEN}".encode()).decode()
    for right in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", f"Basic {password}"):
        assert guarded.ask("GET", "/v1/models", headers={"Authorization": right}).status == 200
    short = base64.b64encode(TOKEN.encode()).decode()
    for wrong in (f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer", f"Token {TOKEN}", f"Basic {short}", "Basic é"):
        assert guarded.ask("GET", "/v1/models", headers={"Authorization": wrong}).status == 401, wrong


def test_the_document_says_who_asks_for_the_token(guarded: Service, service: Service) -> None:
    document = guarded.ask("GET", "/openapi.json", headers={"Authorization": f"Bearer {TOKEN}"}).json
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert document["security"] == [{"token": []}]
    assert document["paths"]["/health/live"]["get"]["security"] == []
    assert "security" not in service.ask("GET", "/openapi.json").json


def test_with_a_token_allowed_names_and_numeric_addresses_are_hosts(guarded: Service) -> None:
    for host, status in (
        ("models.example", 200),
        ("192.0.2.7:8000", 200),
        ("[2001:db8::1]", 200),
        ("other.example", 421),
    ):
        headers = {"Host": host, "Authorization": f"Bearer {TOKEN}"}
        assert guarded.ask("GET", "/v1/models", headers=headers).status == status, host


def test_a_host_is_its_name_without_the_port() -> None:
    assert [host_name(each) for each in ("A.b:80", "[::1]:9", "x", "x/y", "x?y", "u@x", "")] == [
        "a.b", "[::1]", "x", None, None, None, None,
    ]  # fmt: skip


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", "localhost.example.org", ""])
def test_an_address_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(ValidationError, match="needs a token"):
        ServerSettings(host=host)
    assert not ServerSettings(host=host, token=TOKEN).loopback


def test_a_short_token_is_refused() -> None:
    for token in ("short", "spaces in a long token", "ümlaut-in-a-long-token"):
        with pytest.raises(ValidationError, match="at least 16 visible ASCII"):
            ServerSettings(token=token)


def test_only_the_loopback_socket_is_bound() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.8.0.1", "::1", "localhost"))
    with listen(ServerSettings().host, 0) as sock:
        assert sock.getsockname()[0] == "127.0.0.1"
