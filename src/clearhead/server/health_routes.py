"""Whether the service lives, whether it takes requests, and its counters."""

from __future__ import annotations

from fastapi import APIRouter, Response

from clearhead.server.house import House
from clearhead.server.refusal import STOPPING
from clearhead.server.schema import ErrorResponse, Health


def health_routes(house: House) -> APIRouter:
    """``/health/live``, ``/health/ready`` and ``/metrics``."""
    router = APIRouter(tags=["health"])

    @router.get("/health/live")
    async def live() -> Health:
        """The process answers. The one route that asks for no token."""
        return Health(status="live")

    @router.get("/health/ready", responses={503: {"model": ErrorResponse}})
    async def ready() -> Health:
        """Requests are taken; 503 from the moment the service is asked to stop."""
        if house.stopping:
            raise STOPPING
        return Health(status="ready")

    @router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics() -> Response:
        """Counters in Prometheus' text format."""
        return Response(house.metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    return router
