"""The data behind the page: one request looked at, then its maps, rows and steps as binary frames, as they are needed.

``POST /page/look`` answers a text and names what was kept; everything below ``/page/look/{key}`` reads from that. Maps
travel as frames (``service.looking.frames``): small ones of all heads as bytes, parts of a large one as float16.
Nothing larger than what a screen shows is ever sent. The page is the only caller; its own version serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import numpy as np
from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from clearhead.server.bodies import read_object
from clearhead.server.house import House
from clearhead.server.leaving import while_connected
from clearhead.server.page_schema import Attention, Head, Key, Level, Place, Question, Size
from clearhead.server.reading import read_as, refuse_too_much
from clearhead.server.refusal import Refusal
from clearhead.service.looking.frames import finite, to_frame
from clearhead.service.looking.looker import Gone, Looker
from clearhead.service.looking.maps import MEAN, as_bytes, looks_and_is_seen, tile
from clearhead.service.looking.measures import measures
from clearhead.service.looking.points import points
from clearhead.service.looking.seen import EMBEDDED, Seen, told
from clearhead.service.looking.steps import check_place, steps

FRAME = "application/vnd.clearhead.frame"
AT_ONCE = 4  # computations on what was kept
Result = TypeVar("Result")
Read = Callable[[Callable[[], Result]], Any]


def page_routes(house: House) -> APIRouter:
    """The routes of the page's data, about the models of ``house``."""
    looker, limiter = Looker(house.models), CapacityLimiter(AT_ONCE)
    routes = APIRouter(prefix="/page", include_in_schema=False)

    async def read(compute: Callable[[], Result]) -> Result:
        """``compute`` where it does not keep other requests waiting."""
        try:
            return await to_thread.run_sync(compute, limiter=limiter)
        except Gone as gone:
            raise Refusal(410, str(gone)) from None

    @routes.get("/models")
    async def models() -> Response:
        return told_as_json(await read(looker.facts))

    @routes.post("/look")
    async def look(request: Request) -> Response:
        question = read_as(Question, await read_object(request, house.bodies))
        refuse_too_much([question.text, question.target or ""], house.settings.limits)
        asked = question.asked()
        kept = looker.kept(asked)
        if kept is None:
            hosted = house.admit(asked.model)
            kept = await while_connected(request, hosted.use(lambda _: looker.look(asked), house.deadline()))
        return told_as_json(told(kept))

    _add_maps(routes, looker, read)
    _add_numbers(routes, looker, read)
    _add_models(routes, looker, read)
    return routes


def _add_maps(routes: APIRouter, looker: Looker, read: Read[Any]) -> None:
    """Parts of the maps of one thing looked at."""

    @routes.get("/look/{key}/small")
    async def small(key: Key, attention: Attention, size: Size = 64) -> Response:
        cells, most = as_bytes(await read(lambda: looker.small(key, attention, size)))
        return framed({"attention": attention}, {"cells": cells, "most": most})

    @routes.get("/look/{key}/tile")
    async def part(
        key: Key, attention: Attention, head: Head, row: Place = 0, column: Place = 0, level: Level = 0
    ) -> Response:
        record = _record(looker, key, attention, head)
        cells = await read(lambda: tile(record, head, (row, column), level))
        return framed({"row": row, "column": column, "level": level}, {"cells": cells.astype(np.float16)})

    @routes.get("/look/{key}/token")
    async def token(
        key: Key, attention: Attention, head: Head, query: Place | None = None, at: Place | None = None
    ) -> Response:
        record = _record(looker, key, attention, head)
        for name, place, count in (("query", query, record.queries), ("at", at, record.keys)):
            if place is not None:
                check_place(name, place, count)
        return framed({}, await read(lambda: looks_and_is_seen(record, head, query=query, key=at)))


def _add_numbers(routes: APIRouter, looker: Looker, read: Read[Any]) -> None:
    """Single steps, measures and points of one thing looked at."""

    @routes.get("/look/{key}/steps")
    async def one_query(key: Key, attention: Attention, head: Head, query: Place) -> Response:
        record = _record(looker, key, attention, head)
        found = await read(lambda: steps(record, head, query))
        table = {name: getattr(found, name) for name in found.__dataclass_fields__}
        arrays = {name: value for name, value in table.items() if isinstance(value, np.ndarray)}
        return framed({name: value for name, value in table.items() if name not in arrays}, arrays)

    @routes.get("/look/{key}/measures")
    async def numbers(key: Key) -> Response:
        seen = _seen(looker, key)
        return told_as_json([asdict(each) for each in await read(lambda: measures(seen))])

    @routes.get("/look/{key}/points")
    async def plane(key: Key, station: Annotated[str, Query(max_length=200)] = EMBEDDED) -> Response:
        seen = _seen(looker, key)
        found = await read(lambda: points(seen, station))
        return told_as_json({**asdict(found), "places": found.places.tolist()})


def _add_models(routes: APIRouter, looker: Looker, read: Read[Any]) -> None:
    """What a model is and how it became so."""

    @routes.get("/models/{name}/history")
    async def history(name: str) -> Response:
        return told_as_json([asdict(series) for series in await read(lambda: looker.history(name))])

    @routes.get("/models/{name}/recording")
    async def recording(name: str) -> Response:
        return told_as_json(await read(lambda: looker.recording(name)))

    @routes.get("/models/{name}/heads")
    async def heads(name: str) -> Response:
        return told_as_json(await read(lambda: looker.worths(name)))

    @routes.get("/models/{name}/recording/maps")
    async def moment(name: str, frame: Place, sentence: Place) -> Response:
        found = await read(lambda: looker.moment(name, frame, sentence))
        return framed({}, {attention: as_bytes(maps)[0] for attention, maps in found.items()})

    @routes.get("/models/{name}/positions")
    async def positions(name: str) -> Response:
        found = await read(lambda: looker.positions(name))
        facts = [{"name": each.name, "kind": each.kind, "axes": list(each.axes), "first": each.first} for each in found]
        return framed({"pictures": facts}, {str(number): each.values for number, each in enumerate(found)})


def framed(facts: dict[str, Any], arrays: Mapping[str, Any]) -> Response:
    """A frame as an answer."""
    return Response(to_frame(facts, arrays), media_type=FRAME, headers={"Cache-Control": "no-store"})


def told_as_json(data: Any) -> Response:
    """Plain data as an answer; a number that is none is null."""
    return JSONResponse(finite(data), headers={"Cache-Control": "no-store"})


def _seen(looker: Looker, key: str) -> Seen:
    try:
        return looker.seen(key)
    except Gone as gone:
        raise Refusal(410, str(gone)) from None


def _record(looker: Looker, key: str, attention: str, head: int) -> Any:
    record = _seen(looker, key).attention(attention)
    if head != MEAN:
        check_place("head", head, record.heads)
    return record
