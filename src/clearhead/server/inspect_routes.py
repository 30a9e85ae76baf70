"""What every attention head did for one input: tokens, weights and whatever else was asked for, as JSON or binary."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from clearhead.inspection.inspection import Inspection
from clearhead.server.bodies import read_object
from clearhead.server.document import errors, name_of_one, takes
from clearhead.server.house import House
from clearhead.server.leaving import while_connected
from clearhead.server.reading import note_texts, read_as, refuse_too_much
from clearhead.server.refusal import Refusal
from clearhead.server.schema import InspectRequest
from clearhead.service.tasks.task import Predictor

FRAME = "application/octet-stream"
ANSWERS = {
    "application/json": {"schema": {"type": "object", "required": ["format", "version", "source", "attentions"]}},
    FRAME: {"schema": {"type": "string", "format": "binary"}},
}


def inspect_routes(house: House) -> APIRouter:
    """``/v1/models/{name}/inspect``."""
    router = APIRouter(prefix="/v1", tags=["models"])
    limits, one_of = house.settings.limits, name_of_one(house)

    @router.post(
        "/models/{name}/inspect",
        response_class=Response,
        responses=errors(400, 404, 406, 408, 413, 415, 422, 429, 500, 503, 504)
        | {200: {"content": ANSWERS, "description": "The inspection; see docs/inspection.md for its layout."}},
        openapi_extra=takes(InspectRequest),
    )
    async def inspect(request: Request, name: str = one_of) -> Response:
        """Look at every attention behind one answer. Accept: application/octet-stream gives the binary frame."""
        hosted, deadline = house.admit(name), house.deadline()
        kind = _accepted(request.headers.get("accept", "*/*"))
        asked = read_as(InspectRequest, await read_object(request, house.bodies))
        refuse_too_much([asked.input, asked.target or ""], limits)
        note_texts(request, [asked.input, asked.target or ""])
        most = limits.inspect_numbers if kind == FRAME else limits.inspect_json_numbers
        content = await while_connected(request, hosted.use(_look(asked, kind, most), deadline))
        return Response(content, media_type=kind, headers={"Vary": "Accept"})

    return router


def _look(asked: InspectRequest, kind: str, most: int) -> Callable[[Predictor], bytes]:
    def look(predictor: Predictor) -> bytes:
        seen = predictor.inspect(
            asked.input, asked.target, layers=asked.layers, heads=asked.heads, max_full=asked.max_full
        )
        if (count := numbers_in(seen, asked.parts)) > most:
            raise Refusal(
                413,
                f"this inspection has {count} numbers, but at most {most} are given as {kind}: ask for fewer layers, "
                "heads or parts, for a smaller max_full, or for the binary frame",
            )
        plain = seen.plain(asked.parts)
        return plain.to_frame() if kind == FRAME else json.dumps(plain.to_dict(), ensure_ascii=False).encode()

    return look


def numbers_in(seen: Inspection, parts: Sequence[str]) -> int:
    """How many numbers these parts of an inspection are, at most; known from shapes, before any is worked out."""
    count = seen.logits.numel() if "logits" in parts else 0
    count += sum(each.numel() for each in seen.residual.values()) if "residual" in parts else 0
    for name, record in seen.attentions.items():
        heads, queries, keys = len(seen.shown(name)), record.queries, record.keys
        whole = queries * keys if seen.is_full(name) else 24 * queries + keys
        sizes = {
            "weights": heads * whole,
            "scores": heads * whole,
            "q": record.q.numel(),
            "k": record.k.numel(),
            "v": record.v.numel(),
            "mixed": record.mixed.numel(),
            "additions": heads * queries * record.output.out_features,
        }
        count += sum(sizes.get(part, 0) for part in parts)
    return count


def _accepted(header: str) -> str:
    kinds = [part.partition(";")[0].strip().lower() for part in header.split(",")]
    if FRAME in kinds:
        return FRAME
    if not kinds or {"*/*", "application/*", "application/json", ""} & set(kinds):
        return "application/json"
    raise Refusal(406, f"an inspection comes as application/json or as {FRAME}")
