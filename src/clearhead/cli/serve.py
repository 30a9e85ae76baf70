"""``clearhead serve RUN…``: the models of some runs over HTTP, and the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from clearhead.server.settings import ServerSettings

_BOUNDS = "Bounds"
_SAFETY = "Safety"


@dataclass(frozen=True)
class ServeOptions:
    """Which runs, where, for whom."""

    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders; NAME=RUN gives one a name.")]
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(help="0 takes any that is free.")] = 8000
    device: Annotated[str | None, typer.Option(help='Such as "cpu" or "cuda" (default: a GPU if there is one).')] = None
    token_file: Annotated[
        Path | None,
        typer.Option(help="Ask every request for the token in this file's first line.", rich_help_panel=_SAFETY),
    ] = None
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A name the service is reached by.", rich_help_panel=_SAFETY)
    ] = None
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="An origin whose pages may ask.", rich_help_panel=_SAFETY)
    ] = None
    deadline: Annotated[float, typer.Option(help="Seconds a request may take.", rich_help_panel=_BOUNDS)] = 60.0
    queue: Annotated[int, typer.Option(help="Inputs that may wait for a model.", rich_help_panel=_BOUNDS)] = 512


def serve(options: ServeOptions) -> None:
    """Answer over HTTP: predict, inspect, health, metrics and the page. Loopback by default; elsewhere with a token."""
    from clearhead.errors import need

    for module in ("fastapi", "uvicorn", "prometheus_client"):
        need(module, "serve")
    from clearhead.server.app import create_house
    from clearhead.server.log import log_to_stderr
    from clearhead.server.run import listen, server_of
    from clearhead.server.run import serve as answer
    from clearhead.service.serving import open_runs

    settings = _settings(options)
    sock = listen(settings.host, settings.port)
    house = create_house(open_runs(options.runs, options.device), settings)
    log_to_stderr()
    address, port = sock.getsockname()[:2]
    shown = f"[{address}]" if ":" in address else address
    answer(server_of(house), sock, lambda: typer.echo(f"http://{shown}:{port}"))


def _settings(options: ServeOptions) -> ServerSettings:
    from pydantic import ValidationError

    from clearhead.errors import ConfigurationError
    from clearhead.recipes.sentences import explain
    from clearhead.server.settings import ServerSettings

    table = {
        "host": options.host,
        "port": options.port,
        "token": None if options.token_file is None else _token(options.token_file),
        "allowed_hosts": tuple(options.allow_host or ()),
        "allowed_origins": tuple(options.allow_origin or ()),
        "limits": {
            "deadline": options.deadline,
            "queue_texts": options.queue,
            "texts": min(256, max(1, options.queue)),
        },
    }
    try:
        return ServerSettings.model_validate(table)
    except ValidationError as error:
        raise ConfigurationError(explain(error, ServerSettings, "serve")) from None


def _token(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
