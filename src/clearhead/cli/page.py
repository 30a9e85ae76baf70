"""The page over one run, on a free loopback port, until Ctrl-C: for ``clearhead look`` and ``clearhead demo``."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path
from urllib.parse import urlencode

import typer

from clearhead.errors import need


def open_page(
    run: Path, text: str = "", *, layer: int | None = None, head: int | None = None, browser: bool = True
) -> None:
    """Serve ``run`` and open its page at ``text`` and a head (or the mean of its layer's); its address is printed.

    Raises:
        ConfigurationError: there is no such layer or head.
        MissingExtraError: the extra 'serve' is not installed.
        RunError: the folder is no finished run.
    """
    for module in ("fastapi", "uvicorn", "prometheus_client"):
        need(module, "serve")
    from clearhead.server.app import create_house
    from clearhead.server.run import listen, serve, server_of
    from clearhead.service.look import place_of
    from clearhead.service.serving import open_runs

    served = open_runs([Path(f"{_name(run)}={run}")])
    state = {"text": text} | place_of(served[0].predictor.model, layer, head)
    house = create_house(served)
    sock = listen("127.0.0.1", 0)
    address = f"http://127.0.0.1:{sock.getsockname()[1]}/"
    given = urlencode({name: value for name, value in state.items() if value})
    where = f"{address}#{given}" if given else address

    def ready() -> None:
        typer.echo(where)
        typer.echo("Ctrl-C ends the page.", err=True)
        if browser and has_display():
            webbrowser.open(where)

    serve(server_of(house), sock, ready)


def has_display() -> bool:
    """Whether a browser with a window can be opened here."""
    windows = sys.platform in ("darwin", "win32")
    return windows or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def _name(run: Path) -> str:
    """The folder's name with only what may stand in a model's name."""
    name = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "-" for letter in run.resolve().name
    )
    return name.lstrip("._-")[:100] or "run"
