"""Refusals at the doorstep: the same answer as on the usual way, before the body, on a connection that goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.server.app import create_app
from clearhead.server.doorstep import Doorstep, Turned, read_head
from clearhead.server.house import House
from clearhead.server.settings import Limits, ServerSettings
from clearhead.service.serving import Served

from .running import Reply, Service, answer, exchange, post, running, until
from .slow import Held, held

PATH = "/v1/models/toy/predict"
HEAD = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
ASKED = post(PATH, {"inputs": ["1 2"]})
LIVE = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
UNUSUAL = b"X-Name: \xc3\xa9\r\n"  # a header that the doorstep leaves to h11
TOKEN = "a-token-of-more-than-sixteen"
LIMITS = Limits(texts=1, queue_texts=1, read_seconds=0.4)
LINES = [
    b"Host: localhost", b"Content-Length: 3", b"content-length:7", b"Content-Length: +3", b"Content-Length: 3, 3",
    b"Content-Length:", b"Transfer-Encoding: chunked", b"Connection: close", b"Connection: keep-alive", b"X:",
    b"X:  y\tz  ", b"X : y", b"X: \xe9", b" folded", b"Expect: 100-continue", b"Upgrade: h2c", b"X: \0", b"", b"\n",
]  # fmt: skip
STARTS = [HEAD.split(b"\r\n")[0], b"POST /v1/models/a/inspect HTTP/1.1", b"POST /v1/models/a/inspect HTTP/1.0",
          b"GET /v1/models/a/inspect HTTP/1.1", b"POST /v1/models/a/predict?x HTTP/1.1"]  # fmt: skip


@pytest.fixture
def turned(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For each time the doorstep was asked, whether it turned somebody away."""
    asked, turn_away = [], Doorstep.turn_away

    def noted(self: Doorstep, data: bytes) -> Turned | None:
        found = turn_away(self, data)
        asked.append(found is not None)
        return found

    monkeypatch.setattr(Doorstep, "turn_away", noted)
    return asked


@pytest.fixture
def full(toy: Served, turned: list[bool]) -> Iterator[tuple[Service, Held]]:
    """A service whose model is held at work and whose line has no place left."""
    entry, model = held(toy)
    with running([entry], ServerSettings(limits=LIMITS, token=TOKEN)) as service, ThreadPoolExecutor(2) as others:
        waiting = [others.submit(ask, service, "in the model")]
        until(lambda: model.calls)
        waiting.append(others.submit(ask, service, "in the line"))
        until(lambda: service.house.crowded(0))
        turned.clear()
        yield service, model
        model.open.set()
        assert [each.result().status for each in waiting] == [200, 200]


def ask(service: Service, text: str) -> Reply:
    return service.ask("POST", PATH, {"inputs": [text]}, {"Authorization": f"Bearer {TOKEN}"})


def let_in(request: bytes, lines: bytes = b"") -> bytes:
    """The request with the token, and with more lines in its head."""
    first, end, rest = request.partition(b"\r\n")
    return first + end + f"Authorization: Bearer {TOKEN}\r\n".encode() + lines + rest


async def in_turn(service: Service, *parts: bytes) -> list[Reply]:
    """Send parts on one connection, each when the last has been answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    replies = []
    for part in parts:
        writer.write(part)
        replies.append(await asyncio.wait_for(answer(reader), 10))
    writer.close()
    return replies


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(STARTS), st.lists(st.sampled_from(LINES), max_size=5), st.binary(max_size=8))
def test_what_is_plain_reads_as_h11_reads_it(start: bytes, lines: list[bytes], body: bytes) -> None:
    data = b"\r\n".join([start, b"Host: x", *lines, b"", body])
    head = read_head(data, 1000)
    if head is None:
        return
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    request = connection.next_event()
    assert isinstance(request, h11.Request) and request.method == b"POST" and request.http_version == b"1.1"
    assert request.target == head.path == f"/v1/models/{head.model}/{head.action}".encode()
    assert list(request.headers) == head.headers
    connection.receive_data(b" " * max(0, head.size + head.body - len(data)))
    read = 0
    while isinstance(event := connection.next_event(), h11.Data):
        read += len(event.data)
    assert isinstance(event, h11.EndOfMessage) and read == head.body
    assert len(connection.trailing_data[0]) == max(0, len(data) - head.size - head.body)


def test_a_plain_request_is_read_and_a_larger_head_is_not() -> None:
    head = read_head(ASKED, 1000)
    assert head is not None and (head.model, head.action) == ("toy", "predict")
    assert (head.size + head.body, head.route) == (len(ASKED), "/v1/models/{name}/predict")
    assert read_head(ASKED, head.size - 1) is None
    assert all(read_head(ASKED[:size], 1000) is None for size in range(head.size))


def test_the_answer_is_that_of_the_usual_way(
    full: tuple[Service, Held], turned: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    service, _ = full
    with caplog.at_level("INFO"):
        early, usual = asyncio.run(in_turn(service, let_in(ASKED), let_in(ASKED, UNUSUAL)))
        until(lambda: sum(record.msg == "request" for record in caplog.records) == 2)
    assert turned == [True, False]
    assert (early.status, early.body) == (usual.status, usual.body) and early.status == 429
    assert early.json["error"]["code"] == "full" and int(early.headers["retry-after"]) >= 1
    own = {"x-request-id", "date"}
    assert {key: early.headers[key] for key in early.headers.keys() - own} == {
        key: usual.headers[key] for key in usual.headers.keys() - own
    }
    facts: list[dict[str, Any]] = [vars(record)["facts"] for record in caplog.records if record.msg == "request"]
    assert [each.pop("id") for each in facts] == [early.headers["x-request-id"], usual.headers["x-request-id"]]
    assert [each.pop("seconds") >= 0 for each in facts] == [True, True]
    assert facts[0] == facts[1] == {"method": "POST", "route": "/v1/models/{name}/predict", "status": 429}
    counted = service.house.metrics.registry.get_sample_value(
        "clearhead_requests_total", {"route": "/v1/models/{name}/predict", "status": "429"}
    )
    assert counted == 2 and service.house.active == 2


def test_a_connection_goes_on_after_a_refusal(full: tuple[Service, Held], turned: list[bool]) -> None:
    service, model = full

    async def talk() -> list[Reply]:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        replies = []
        for part in (let_in(ASKED), let_in(ASKED), LIVE, let_in(ASKED)):
            writer.write(part)
            replies.append(await asyncio.wait_for(answer(reader), 10))
        model.open.set()
        await asyncio.to_thread(until, lambda: service.house.active == 0)
        writer.write(let_in(ASKED))
        replies.append(await asyncio.wait_for(answer(reader), 10))
        writer.close()
        return replies

    replies = asyncio.run(talk())
    assert [reply.status for reply in replies] == [429, 429, 200, 429, 200]
    assert replies[-1].json["results"] == [{"input": "1 2", "text": "<1 2>"}]
    assert turned == [True, True, False, True, False]


def test_the_body_is_not_waited_for_and_is_thrown_away(full: tuple[Service, Held], turned: list[bool]) -> None:
    service, _ = full
    body = json.dumps({"inputs": ["x" * 5000]}).encode()
    head = let_in(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
    for cut in (0, 1, 3000):
        for behind in (b"", LIVE):  # in the same packet as the end of the body, or after it
            replies = asyncio.run(in_turn(service, head + body[:cut], body[cut:] + (behind or LIVE)))
            assert [reply.status for reply in replies] == [429, 200], cut
    assert turned.count(True) == 6
    assert service.house.bodies.bytes == 0


def test_a_body_that_never_comes_does_not_hold_the_connection(full: tuple[Service, Held], turned: list[bool]) -> None:
    async def stay() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", full[0].port)
        writer.write(let_in(HEAD + b"Content-Length: 100000\r\n\r\n"))
        assert (await answer(reader)).status == 429
        rest = asyncio.create_task(reader.read())
        while not rest.done():
            writer.write(b" ")
            await asyncio.wait({rest}, timeout=0.05)
        return rest.result()

    with suppress(ConnectionResetError):
        assert asyncio.run(asyncio.wait_for(stay(), 20)) == b""
    assert turned == [True]


def test_requests_in_one_packet_are_answered_in_turn(full: tuple[Service, Held]) -> None:
    async def two() -> list[Reply]:
        reader, writer = await asyncio.open_connection("127.0.0.1", full[0].port)
        writer.write(let_in(ASKED) + LIVE + let_in(ASKED))
        replies = [await asyncio.wait_for(answer(reader), 10) for _ in range(3)]
        writer.close()
        return replies

    assert [reply.status for reply in asyncio.run(two())] == [429, 200, 429]


def test_a_head_in_pieces_and_a_chunked_body_are_refused_too(full: tuple[Service, Held], turned: list[bool]) -> None:
    service, _ = full
    request = let_in(ASKED)

    async def in_pieces() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
        for start in range(0, 60, 20):
            writer.write(request[start : start + 20])
            await writer.drain()
            await asyncio.sleep(0.02)
        writer.write(request[60:])
        status = (await asyncio.wait_for(answer(reader), 10)).status
        writer.close()
        return status

    assert asyncio.run(in_pieces()) == 429
    chunked = let_in(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    assert asyncio.run(exchange(service.port, chunked)).status == 429
    assert not any(turned)


def test_the_gate_stands_before_the_doorstep(full: tuple[Service, Held], turned: list[bool]) -> None:
    service, _ = full
    foreign = let_in(ASKED).replace(b"Host: localhost", b"Host: evil.example")
    elsewhere = let_in(ASKED, b"Origin: https://evil.example\r\n")
    for request, status in ((ASKED, 401), (foreign, 421), (elsewhere, 403)):
        assert asyncio.run(exchange(service.port, request)).status == status
    nobody = let_in(ASKED).replace(b"/toy/", b"/nobody/")
    assert asyncio.run(exchange(service.port, nobody)).status == 404
    assert turned == [False] * 4


def test_everything_else_is_answered_while_the_model_is_full(full: tuple[Service, Held]) -> None:
    service, _ = full
    token = {"Authorization": f"Bearer {TOKEN}"}
    for path in ("/health/live", "/health/ready", "/metrics", "/v1/models"):
        assert service.ask("GET", path, headers=token).status == 200, path


def test_who_knocks_in_the_same_turn_counts_before_having_a_place(toy: Served) -> None:
    house = House([toy], ServerSettings(limits=Limits(texts=1, queue_texts=3)))
    doorstep = Doorstep(create_app(house))

    async def knock(times: int) -> list[bool]:
        found = [doorstep.turn_away(ASKED) is not None for _ in range(times)]
        await asyncio.sleep(0)  # the loop's next turn: whoever was let in has a place by now, or is gone
        return found

    async def two_turns() -> list[list[bool]]:
        return [await knock(5), await knock(4)]

    assert asyncio.run(two_turns()) == [[False] * 3 + [True] * 2, [False] * 3 + [True]]
