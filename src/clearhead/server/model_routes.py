"""Which models there are, and their answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from clearhead.models.account import account
from clearhead.server.bodies import read_object
from clearhead.server.document import errors, name_of_one, takes
from clearhead.server.hosted import Hosted
from clearhead.server.house import House
from clearhead.server.leaving import while_connected
from clearhead.server.reading import note_texts, read_as, refuse_too_much
from clearhead.server.schema import ModelCard, ModelList, PredictRequest, PredictResponse
from clearhead.server.streamed import EVENTS, streamed
from clearhead.service.tasks.task import Answer


def model_routes(house: House) -> APIRouter:
    """``/v1/models`` and ``/v1/models/{name}/predict``."""
    router = APIRouter(prefix="/v1", tags=["models"])
    limits, one_of = house.settings.limits, name_of_one(house)

    @router.get("/models")
    async def models() -> ModelList:
        """Every model that is served."""
        return ModelList(models=[_card(hosted) for hosted in house.models.values()])

    @router.post(
        "/models/{name}/predict",
        response_model=PredictResponse,
        responses=errors(400, 404, 408, 413, 415, 422, 429, 500, 503, 504) | EVENTS,
        openapi_extra=takes(PredictRequest),
    )
    async def predict(request: Request, name: str = one_of) -> Response:
        """Answer every input: translate, tag, classify, go on. As many results as inputs, in their order."""
        hosted, deadline = house.admit(name), house.deadline()
        asked = read_as(PredictRequest, await read_object(request, house.bodies))
        refuse_too_much(asked.inputs, limits)
        note_texts(request, asked.inputs)
        if asked.stream:
            return await streamed(hosted, asked, deadline, request)
        job = hosted.texts(asked.inputs, asked.decoding.given(), deadline)
        hosted.enter(job)
        answers = await while_connected(request, hosted.wait(job))
        return Response(await results_body(name, answers), media_type="application/json")

    return router


async def results_body(name: str, answers: Sequence[Answer]) -> bytes:
    """The answer as JSON; between two results others have their turn, as a large one takes its time."""
    parts = []
    for answer in answers:
        parts.append(json.dumps(answer.as_dict(), ensure_ascii=False, allow_nan=False))
        await asyncio.sleep(0)
    return f'{{"model": {json.dumps(name)}, "results": [{", ".join(parts)}]}}'.encode()


def _card(hosted: Hosted) -> ModelCard:
    config: Any = hosted.predictor.config
    return ModelCard(
        name=hosted.name,
        task=hosted.task,
        architecture=config.architecture,
        parameters=account(config).total,
        longest=hosted.predictor.longest,
        writes=hosted.predictor.speller("") is not None,
    )
