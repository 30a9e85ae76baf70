"""Hostile HTTP: whatever comes over the socket is answered with 4xx in time, and the service goes on."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from clearhead.server.settings import Limits, ServerSettings
from clearhead.service.serving import Served

from .running import Reply, Service, answer, exchange, running, until
from .slow import held

PATH = "/v1/models/toy/predict"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
QUICK = Limits(read_seconds=0.4, body_bytes=10_000, head_bytes=8192)
NUMBERS = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e309",
    "-1",
    str(2**63),
    str(-(2**63) - 1),
    "9" * 5000,
    "1e308",
    '"1"',
    "true",
)
COUNTS = ("beam", "n_best", "max_length", "min_length", "top_k", "seed")
MEASURES = ("length_penalty", "temperature", "top_p")
BROKEN = (
    b"",
    b"nothing",
    b"[]",
    b'"inputs"',
    b'{"inputs": ["a"]',
    b'{"inputs": ["\xff"]}',
    b'\xef\xbb\xbf{"inputs": ["a"]}',
    b'{"inputs": ["a"], "inputs": ["b"]}',
    b'{"inputs": ["\\ud800"]}',
    b'{"inputs": ["a"], "\\udfff": 1}',
    b'{"inputs": ' + b"[" * 3000 + b"]" * 3000 + b"}",
    b'{"inputs": ["' + b'\\"' * 4000,
    b'{"inputs": [NaN]}',
)


@pytest.fixture(scope="module")
def quick(toy: Served) -> Iterator[Service]:
    with running([toy], ServerSettings(limits=QUICK)) as found:
        yield found
        assert found.predict(["1 2"]).json["results"][0]["text"] == "eins zwei"
        until(lambda: found.house.active == 0)


def sent(service: Service, request: bytes) -> Reply:
    return asyncio.run(exchange(service.port, request))


def trickled(service: Service, first: bytes, rest: bytes) -> Reply:
    """Send ``first``, then ``rest`` byte by byte, until an answer comes."""

    async def trickle() -> Reply:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        reply = asyncio.create_task(answer(reader))
        writer.write(first)
        for byte in rest:
            if reply.done() or writer.is_closing():
                break
            writer.write(bytes([byte]))
            await asyncio.wait({reply}, timeout=0.05)
        try:
            return await asyncio.wait_for(reply, 10)
        finally:
            writer.close()

    return asyncio.run(trickle())


def test_bodies_over_the_limit_are_refused_declared_or_chunked(quick: Service) -> None:
    declared = sent(quick, HEAD + b"Content-Length: 10001\r\n\r\n")  # not a byte of it is waited for
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    chunked = sent(quick, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + 3 * chunk)
    for reply in (declared, chunked):
        assert (reply.status, reply.message) == (413, "expected a body of at most 10000 bytes")
    small = b'{"inputs": ["1 2"]}'
    in_parts = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in small)
    assert sent(quick, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + in_parts + b"0\r\n\r\n").status == 200


def test_all_bodies_together_are_bounded(toy: Served) -> None:
    with running([toy], ServerSettings(limits=Limits(body_bytes=1000, all_bodies_bytes=1500))) as service:

        async def two() -> Reply:
            _, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(HEAD + b"Content-Length: 1000\r\n\r\n" + b" " * 900)
            await asyncio.to_thread(until, lambda: service.house.bodies.bytes == 900)
            reply = await exchange(service.port, HEAD + b"Content-Length: 1000\r\n\r\n" + b" " * 900)
            writer.close()
            return reply

        assert asyncio.run(two()).status == 429
        until(lambda: service.house.bodies.bytes == 0)
        assert service.predict(["1 2"]).status == 200


def test_a_head_of_a_megabyte_is_refused(quick: Service) -> None:
    for head in (b"X-Large: " + b"x" * 1_000_000, b"".join(b"X-%d: y\r\n" % number for number in range(80_000))):
        assert sent(quick, HEAD + head + b"\r\n\r\n").status == 400
    assert sent(quick, b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\n\r\n").status == 400


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (b"", HEAD + b"X: " + b"x" * 500),
        (HEAD + b"Content-Length: 500\r\n\r\n", b" " * 500),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 100),
        (b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n", b"X: " + b"x" * 500),
    ],
)
def test_a_byte_now_and_then_does_not_hold_a_connection(quick: Service, first: bytes, rest: bytes) -> None:
    reply = trickled(quick, first, rest)
    assert (reply.status, reply.json["error"]["code"]) == (408, "too_slow")


def test_a_client_that_says_nothing_is_sent_away(quick: Service) -> None:
    async def silence() -> Reply:
        reader, writer = await asyncio.open_connection("127.0.0.1", quick.port)
        reply = await asyncio.wait_for(answer(reader), 10)
        writer.close()
        return reply

    assert asyncio.run(silence()).status == 408


def test_a_body_nobody_wants_does_not_hold_a_connection_either(quick: Service) -> None:
    async def go_on_after_the_answer() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", quick.port)
        writer.write(b"POST /nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n")
        assert (await answer(reader)).status == 404
        rest = asyncio.create_task(reader.read())
        while not rest.done():
            writer.write(b" ")
            await asyncio.wait({rest}, timeout=0.05)
        return rest.result()

    assert asyncio.run(asyncio.wait_for(go_on_after_the_answer(), 20)) is not None


def test_a_client_that_does_not_read_is_cut_off(toy: Served) -> None:
    entry, model = held(toy)
    model.open.set()
    limits = Limits(read_seconds=0.4, body_bytes=1 << 24, characters=1 << 23)
    with running([entry], ServerSettings(limits=limits)) as service:
        content = json.dumps({"inputs": ["x" * (1 << 23)]}).encode()
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", service.port))
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(content) + content)
            until(lambda: model.calls)
            until(lambda: service.house.active == 0)


@pytest.mark.parametrize("body", BROKEN)
def test_what_is_no_strict_json_is_refused(quick: Service, body: bytes) -> None:
    reply = quick.ask("POST", PATH, body)
    assert (reply.status, reply.json["error"]["code"]) == (400, "malformed"), reply.message


def test_an_open_string_of_quotes_takes_no_time(toy: Served) -> None:
    with running([toy]) as service:
        assert service.ask("POST", PATH, b'{"inputs": ["' + b'\\"' * 500_000, timeout=20).status == 400


@pytest.mark.parametrize("name", COUNTS + MEASURES)
def test_no_number_that_makes_no_sense_gets_through(quick: Service, name: str) -> None:
    for number in NUMBERS:
        body = f'{{"inputs": ["1"], "decoding": {{"sample": true, "{name}": {number}}}}}'.encode()
        assert quick.ask("POST", PATH, body).status in {400, 422}, number


@pytest.mark.parametrize("field", ["layers", "heads", "max_full"])
def test_nor_in_an_inspection(quick: Service, field: str) -> None:
    for number in NUMBERS:
        value = number if field == "max_full" else f"[{number}]"
        body = f'{{"input": "1", "{field}": {value}}}'.encode()
        assert quick.ask("POST", "/v1/models/toy/inspect", body).status in {400, 422}, number


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 1e3\r\n\r\n",
        b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"Content-Length: 99999999999999999999999\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"Transfer-Encoding: gzip\r\n\r\n",
        b"X\r\n\r\n",
        b"X: \x00\r\n\r\n",
        b"Host: evil.example\r\n\r\n",
    ],
)
def test_broken_heads_are_refused(quick: Service, lines: bytes) -> None:
    assert 400 <= sent(quick, HEAD + lines).status < 500


def test_another_kind_of_body_is_refused(quick: Service) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        assert quick.ask("POST", PATH, b"{}", {"Content-Type": kind}).status == 415


def test_no_line_of_the_log_holds_what_a_user_wrote(toy: Served, caplog: pytest.LogCaptureFixture) -> None:
    canary, bodies = (
        "canary-51",
        [{"inputs": ["{}"]}, {"inputs": [["{}"]]}, {"{}": 1}, {"inputs": ["1"], "decoding": "{}"}],
    )
    other = {"X-Other": canary, "User-Agent": canary, "Cookie": canary}
    with caplog.at_level("INFO"), running([toy]) as service:
        replies = [
            service.ask("POST", f"{PATH}?{canary}", json.dumps(body).replace("{}", canary).encode()) for body in bodies
        ]
        replies += [service.ask("GET", f"/{canary}", headers=other)]
        replies += [service.ask("POST", f"/v1/models/{canary}/predict", {"inputs": [canary]})]
    lines: list[Any] = [(record.msg, getattr(record, "facts", None), record.exc_text) for record in caplog.records]
    noted = [facts["id"] for event, facts, _ in lines if event == "request"]  # and the last one of another service
    assert [noted.count(reply.headers["x-request-id"]) for reply in replies] == [1] * 6
    assert canary not in repr(lines)


def test_a_failure_is_logged_by_its_places_and_told_by_its_number(
    toy: Served, caplog: pytest.LogCaptureFixture
) -> None:
    entry, model = held(toy)
    model.predict = lambda inputs: 1 / inputs[0].count("x")  # type: ignore[method-assign, assignment]
    with caplog.at_level("INFO"), running([entry]) as service:
        reply = service.predict(["canary"])
    assert reply.status == 500
    (record,) = [record for record in caplog.records if record.msg == "failure"]
    assert reply.headers["x-request-id"] == record.facts["id"] and record.facts["id"] in reply.message
    assert record.facts["error"] == "ZeroDivisionError" and "canary" not in repr(record.facts)
