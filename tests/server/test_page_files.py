"""The page's own files: given out by their exact names, with types, a policy and tags, and nothing beside them."""

from __future__ import annotations

import re

import pytest

from clearhead.server.page_files import page_files

from .running import Service

PAGES = page_files()
needs_page = pytest.mark.skipif(not PAGES, reason="the page is not built")
AROUND = (
    "/../pyproject.toml",
    "/assets/../index.html",
    "/assets/..%2f..%2ferrors.py",
    "/%2e%2e/errors.py",
    "/..%5cerrors.py",
    "//index.html",
    "/assets/",
    "/assets",
    "/__init__.py",
    "/index.html%00.js",
    "/INDEX.HTML",
    "/etc/passwd",
)


@needs_page
def test_every_file_comes_as_it_is_with_its_type_and_a_strict_policy(service: Service) -> None:
    for path, file in PAGES.items():
        reply = service.ask("GET", path)
        assert (reply.status, reply.body, reply.headers["content-type"]) == (200, file.content, file.media_type)
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'") and "unsafe" not in policy
        assert "http" not in policy
        head = service.ask("HEAD", path)
        assert (head.status, head.body, head.headers["etag"]) == (200, b"", file.tag)


@needs_page
def test_the_start_page_names_only_its_own_files(service: Service) -> None:
    start = service.ask("GET", "/")
    assert start.headers["content-type"] == "text/html; charset=utf-8"
    assert start.headers["cache-control"] == "no-cache"
    links = re.findall(r'(?:src|href)="([^"]+)"', start.body.decode())
    assert links
    for link in links:
        assert service.ask("GET", "/" + link.removeprefix(".").removeprefix("/")).status == 200, link


@needs_page
def test_who_has_a_file_is_told_so(service: Service) -> None:
    for path, file in PAGES.items():
        assert service.ask("GET", path, headers={"If-None-Match": file.tag}).status == 304
        kept = "immutable" in service.ask("GET", path).headers["cache-control"]
        assert kept == path.startswith("/assets/")


@pytest.mark.parametrize("path", AROUND)
def test_no_spelling_leads_anywhere_else(service: Service, path: str) -> None:
    assert service.ask("GET", path).status == 404
