"""Clients that go: no answer reaches another, places are free again, a model stops in the middle of an answer."""

from __future__ import annotations

import asyncio
import time

from clearhead.server.settings import Limits, ServerSettings
from clearhead.service.serving import Served

from .running import Service, answer, exchange, post, running, until
from .slow import LONG, held, long_winded

REQUESTS, LEAVING = 1000, 100
AT_ONCE = 100


def idle(service: Service) -> bool:
    hosted = service.house.models["toy"]
    return service.house.active == 0 and hosted.line.weight == 0


def test_a_thousand_requests_of_which_a_hundred_leave(toy: Served) -> None:
    entry, model = held(toy)
    model.open.set()
    with running([entry], ServerSettings(limits=Limits(queue_texts=2000))) as service:

        async def one(number: int, gate: asyncio.Semaphore) -> None:
            canary = f"canary-{number * 7919}"
            async with gate:
                if number % (REQUESTS // LEAVING):
                    reply = await exchange(service.port, post("/v1/models/toy/predict", {"inputs": [canary]}))
                    assert reply.json["results"] == [{"input": canary, "text": f"<{canary}>"}]
                else:
                    await leave(service.port, canary)

        async def all_of_them() -> None:
            gate = asyncio.Semaphore(AT_ONCE)
            await asyncio.gather(*(one(number, gate) for number in range(REQUESTS)))

        asyncio.run(all_of_them())
        until(lambda: idle(service))
        assert max(model.calls) > 1  # answers were made together, and still nobody got another's


async def leave(port: int, canary: str) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(post("/v1/models/toy/predict", {"inputs": [canary]}))
    await writer.drain()
    writer.close()


def test_who_leaves_the_line_frees_a_place(toy: Served) -> None:
    entry, model = held(toy)
    with running([entry], ServerSettings(limits=Limits(texts=2, queue_texts=2))) as service:
        hosted = service.house.models["toy"]

        async def fill_leave_and_ask() -> int:
            stuck = asyncio.create_task(exchange(service.port, post("/v1/models/toy/predict", {"inputs": ["stuck"]})))
            await asyncio.to_thread(until, lambda: model.calls)
            _, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(post("/v1/models/toy/predict", {"inputs": ["a", "b"]}))
            await asyncio.to_thread(until, lambda: hosted.line.weight == 2)
            writer.close()
            await asyncio.to_thread(until, lambda: hosted.line.weight == 0, 1.0)
            model.open.set()
            return (await stuck).status

        assert asyncio.run(fill_leave_and_ask()) == 200
        assert model.calls == [1]


def test_a_model_stops_in_the_middle_of_an_answer_nobody_waits_for(toy: Served) -> None:
    with running([long_winded(toy)]) as service:
        hosted = service.house.models["toy"]

        async def begin_and_leave() -> None:
            _, writer = await asyncio.open_connection("127.0.0.1", service.port)
            writer.write(post("/v1/models/toy/predict", {"inputs": ["1 2 3"], "decoding": LONG}))
            await asyncio.to_thread(until, lambda: service.measured("tokens_total") > 3)
            writer.close()

        asyncio.run(begin_and_leave())
        until(lambda: idle(service), 1.0)
        until(lambda: hosted.line.weight == 0 and not hosted.busy, 1.0)
        assert service.measured("tokens_total") < 900


def test_who_leaves_a_joint_batch_ends_alone(toy: Served) -> None:
    with running([long_winded(toy)]) as service:
        hosted = service.house.models["toy"]
        stay, go = ({"inputs": [text], "decoding": LONG | {"min_length": 60, "max_length": 60}} for text in "12")

        async def both() -> tuple[str, ...]:
            first = await asyncio.open_connection("127.0.0.1", service.port)
            first[1].write(post("/v1/models/toy/predict", {"inputs": ["3"], "decoding": LONG | {"max_length": 1001}}))
            await asyncio.to_thread(until, lambda: hosted.busy)
            (reader, one), (_, other) = [await asyncio.open_connection("127.0.0.1", service.port) for _ in range(2)]
            one.write(post("/v1/models/toy/predict", stay))
            other.write(post("/v1/models/toy/predict", go))
            await asyncio.to_thread(until, lambda: hosted.line.weight == 2)
            first[1].close()
            await asyncio.to_thread(until, lambda: hosted.line.weight == 0)
            other.close()
            reply = await answer(reader)
            one.close()
            return tuple(reply.json["results"][0]["pieces"])

        pieces = asyncio.run(both())
        (alone,) = long_winded(toy).predictor.predict(["1"], **stay["decoding"])
        assert pieces == tuple(alone.as_dict()["pieces"])
        until(lambda: idle(service))


def test_a_deadline_stops_the_model_too(toy: Served) -> None:
    with running([long_winded(toy)], ServerSettings(limits=Limits(deadline=0.3))) as service:
        began = time.monotonic()
        reply = service.predict(["1 2 3"], decoding=LONG | {"beam": 4})
        if reply.status == 504:  # a machine that writes a thousand tokens within the deadline has nothing to stop
            until(lambda: not service.house.models["toy"].busy, 1.0)
        assert reply.status in {200, 504} and time.monotonic() - began < 20
