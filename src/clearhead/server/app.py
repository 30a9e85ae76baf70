"""The service put together: who may come, what there is, what is said of errors. ``create_app`` and nothing else.

From outside in: the journal (counts, logs), the gate (host, origin, token), then FastAPI with one router a topic. To
add routes, write a function of the house that returns a router, and add it to ``ROUTERS``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from clearhead import __version__
from clearhead.errors import ClearheadError, ConfigurationError, DataError, ShapeError
from clearhead.server.document import Documented, errors
from clearhead.server.gate import Gate
from clearhead.server.health_routes import health_routes
from clearhead.server.house import House
from clearhead.server.inspect_routes import inspect_routes
from clearhead.server.journal import Journal
from clearhead.server.model_routes import model_routes
from clearhead.server.page_files import page_files, page_router
from clearhead.server.page_routes import page_routes
from clearhead.server.refusal import Refusal, failure
from clearhead.server.settings import ServerSettings
from clearhead.service.serving import Served

ROUTERS: tuple[Callable[[House], APIRouter], ...] = (health_routes, model_routes, inspect_routes, page_routes)
SENTENCES = {404: "there is nothing at this address", 405: "this address does not take that method"}


def create_house(served: Sequence[Served], settings: ServerSettings | None = None) -> House:
    """The models behind a service, at rest until the app starts."""
    return House(served, settings or ServerSettings())


def create_app(house: House) -> Journal:
    """The ASGI application of a house; its lifespan starts and stops the models' threads."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        house.start()
        yield
        house.stop()

    app = Documented(
        title="Clearhead",
        version=__version__,
        description="Answers of trained models, and what every attention head did for them.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses=errors(400, 401, 403, 421),
        exception_handlers={
            Refusal: _refused,
            ClearheadError: _wrong,
            HTTPException: _not_here,
            RequestValidationError: _misaddressed,
            Exception: _failed,
        },
    )
    app.guarded = house.settings.token is not None
    for router in ROUTERS:
        app.include_router(router(house))
    app.include_router(page_router(page_files()))
    return Journal(Gate(app, house.settings), house)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return _said(error)


async def _wrong(_: Request, error: Exception) -> Response:
    """What a model says of an input or an option; anything else it says is not the client's fault."""
    own = isinstance(error, ConfigurationError | DataError | ShapeError)
    return _said(Refusal(422 if own else 500, " ".join(str(error).split())))


async def _not_here(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentence = SENTENCES.get(error.status_code, "the request cannot be answered")
    return _said(Refusal(error.status_code, sentence, error.headers))


async def _misaddressed(_: Request, error: Exception) -> Response:
    """A part of an address, such as a query, is none that the route knows."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    return _said(Refusal(422, f"{'.'.join(map(str, fault['loc']))}: {fault['msg'][0].lower()}{fault['msg'][1:]}"))


async def _failed(request: Request, _: Exception) -> Response:
    """A bug, or a machine that gave out; the journal has written down where."""
    return _said(failure(request.scope["clearhead.id"]))


def _said(refusal: Refusal) -> Response:
    return Response(refusal.body, refusal.status, refusal.headers, "application/json")
