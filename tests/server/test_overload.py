"""Ten times the capacity at once: a bounded queue, refusals before any work, right answers for who was let in."""

from __future__ import annotations

import asyncio
from typing import Any

from clearhead.server.settings import Limits, ServerSettings
from clearhead.service.serving import Served

from .running import Reply, Service, exchange, post, running, until
from .slow import held

CAPACITY = 8  # that wait
LIMITS = Limits(texts=4, queue_texts=CAPACITY, batch_texts=4, deadline=30.0)


async def ask(port: int, name: str) -> Reply:
    return await exchange(port, post("/v1/models/toy/predict", {"inputs": [name]}))


def test_ten_times_the_capacity(toy: Served) -> None:
    entry, model = held(toy)
    with running([entry], ServerSettings(limits=LIMITS)) as service:
        names = [f"canary {number}" for number in range(10 * CAPACITY)]

        async def storm() -> list[Reply]:
            first = asyncio.create_task(ask(service.port, "first"))  # holds the model while all others come
            await asyncio.to_thread(until, lambda: model.calls)
            rest = [asyncio.create_task(ask(service.port, name)) for name in names]
            await asyncio.to_thread(until, lambda: sum(task.done() for task in rest) == len(rest) - CAPACITY)
            assert service.house.models["toy"].line.weight == CAPACITY
            assert model.calls == [1]  # whoever was refused, was refused before the model saw anything
            model.open.set()
            return await asyncio.gather(first, *rest)

        replies = asyncio.run(storm())
        assert sorted(reply.status for reply in replies) == [200] * (1 + CAPACITY) + [429] * (9 * CAPACITY)
        for name, reply in zip(["first", *names], replies, strict=True):
            if reply.status == 200:
                assert reply.json["results"] == [{"input": name, "text": f"<{name}>"}]
            else:
                assert int(reply.headers["retry-after"]) >= 1
                assert reply.json["error"]["code"] == "full"
        until(lambda: service.house.active == 0)
        assert service.predict(["after"]).status == 200


def test_a_full_service_refuses_without_reading_the_body(toy: Served) -> None:
    entry, model = held(toy)
    with running([entry], ServerSettings(limits=LIMITS)) as service:
        head = b"POST /v1/models/toy/predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"

        async def fill_and_ask() -> Reply:
            waiting = [asyncio.create_task(ask(service.port, "first"))]  # leaves the line before the others fill it
            await asyncio.to_thread(until, lambda: model.calls)
            waiting += [asyncio.create_task(ask(service.port, str(number))) for number in range(CAPACITY)]
            await asyncio.to_thread(until, lambda: full(service))
            reply = await exchange(service.port, head)
            model.open.set()
            await asyncio.gather(*waiting)
            return reply

        assert asyncio.run(fill_and_ask()).status == 429


def full(service: Service) -> bool:
    return service.house.models["toy"].line.weight == CAPACITY


def test_a_request_past_its_deadline_is_told_and_leaves_its_place(toy: Served) -> None:
    entry, model = held(toy)
    limits = LIMITS.model_copy(update={"deadline": 0.2})
    with running([entry], ServerSettings(limits=limits)) as service:

        async def two() -> list[Reply]:
            return await asyncio.gather(ask(service.port, "in the model"), ask(service.port, "in the line"))

        for reply in asyncio.run(two()):
            assert (reply.status, reply.json["error"]["code"]) == (504, "deadline")
        until(lambda: service.house.models["toy"].line.weight == 0)
        model.open.set()


def test_several_models_do_not_wait_for_each_other(toy: Served) -> None:
    entry, model = held(toy)
    other = Served("other", toy.task, toy.predictor, toy.run, seeded=False)
    with running([entry, other]) as service:

        async def both() -> tuple[Any, Any]:
            stuck = asyncio.create_task(ask(service.port, "stuck"))
            await asyncio.to_thread(until, lambda: model.calls)
            reply = await exchange(service.port, post("/v1/models/other/predict", {"inputs": ["1 2"]}))
            model.open.set()
            return reply, await stuck

        reply, stuck = asyncio.run(both())
        assert reply.json["results"][0]["text"] == "eins zwei"
        assert stuck.status == 200
