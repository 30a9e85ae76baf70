"""The page's own files, ``clearhead/page``: read once at the start and given out by their exact names, so that no
spelling of a path leads anywhere else.

Names under ``assets/`` carry a hash of what is in them and may be kept for ever; the rest is asked for anew each time.
The policy lets the page run its own scripts and talk to its own service, and nothing else.
"""

from __future__ import annotations

import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Request, Response

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; "
    "connect-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".woff2": "font/woff2",
}
FOR_EVER = "public, max-age=31536000, immutable"


@dataclass(frozen=True)
class PageFile:
    """One file as it is given out."""

    content: bytes
    media_type: str
    tag: str
    cache: str


def page_files() -> dict[str, PageFile]:
    """Every file of the page by its path from "/"; "/" itself is ``index.html``. Empty where the page is not built."""
    folder = files("clearhead") / "page"
    found = dict(_walk(folder, "")) if folder.is_dir() else {}
    return found | {"/": found["/index.html"]} if "/index.html" in found else {}


def page_router(pages: dict[str, PageFile]) -> APIRouter:
    """One route a file."""
    router = APIRouter(include_in_schema=False)
    for path, file in pages.items():
        router.add_api_route(path, _giver(file), methods=["GET", "HEAD"])
    return router


def _giver(file: PageFile) -> Callable[[Request], Awaitable[Response]]:
    headers = {"Cache-Control": file.cache, "ETag": file.tag, "Content-Security-Policy": POLICY}

    async def give(request: Request) -> Response:
        if request.headers.get("if-none-match") == file.tag:
            return Response(status_code=304, headers=headers)
        return Response(file.content, media_type=file.media_type, headers=headers)

    return give


def _walk(folder: Traversable, path: str) -> Iterator[tuple[str, PageFile]]:
    for each in folder.iterdir():
        name = f"{path}/{each.name}"
        if each.is_dir():
            if each.name != "__pycache__":
                yield from _walk(each, name)
        elif not each.name.endswith((".py", ".map")):
            content = each.read_bytes()
            suffix = "." + each.name.rpartition(".")[2]
            kind = TYPES.get(suffix) or mimetypes.guess_type(each.name)[0] or "application/octet-stream"
            tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            yield name, PageFile(content, kind, tag, FOR_EVER if path.startswith("/assets") else "no-cache")
