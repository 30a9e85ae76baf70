"""``clearhead look`` and the page: served until Ctrl-C at a printed address, or written as one file."""

from __future__ import annotations

import re
import signal
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from clearhead.cli.page import has_display
from clearhead.service.load import load
from clearhead.service.look import place_of

from .conftest import Clearhead, start


def test_look_serves_the_page_and_ends_with_ctrl_c(finished: Path) -> None:
    process = start("look", finished, "7 8", "--no-browser", "--layer", 1, "--head", 2)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        parts = urlsplit(address)
        shown = {"text": ["7 8"], "attention": ["decoder.1.cross"], "head": ["2"]}
        assert (parts.hostname, parse_qs(parts.fragment)) == ("127.0.0.1", shown)
        with urllib.request.urlopen(f"http://{parts.netloc}/", timeout=10) as answer:
            assert b'<div id="page">' in answer.read()
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    finally:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors


def test_the_page_opens_at_the_head_that_is_named(clearhead: Clearhead, finished: Path) -> None:
    model = load(finished).model
    assert place_of(model, None, None) == {}
    assert place_of(model, 0, None) == {"attention": "decoder.0.cross", "head": "-1"}
    assert place_of(model, 1, 3) == {"attention": "decoder.1.cross", "head": "3"}
    for wrong, sentence in (
        (("--head", 1), "of which layer?"),
        (("--layer", 2), "layer: expected a number from 0 to 1, got 2"),
        (("--layer", 0, "--head", 4), "head: expected a number from 0 to 3, got 4"),
    ):
        refused = clearhead("look", finished, "7 8", "--no-browser", *wrong)
        assert refused.exit_code == 1 and sentence in refused.stderr


def test_look_writes_the_page_as_one_file(clearhead: Clearhead, finished: Path, tmp_path: Path) -> None:
    result = clearhead("look", finished, "7 8", "--html", tmp_path / "a.html")
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.search(r"wrote .*a\.html: 0\.\d MB", result.stderr)
    assert not re.search(r"(src|href)=", (tmp_path / "a.html").read_text(encoding="utf-8").partition("<style>")[0])
    refused = clearhead("look", finished, "7 8", "--html", tmp_path)
    assert refused.exit_code == 1 and "cannot be written" in refused.stderr


def test_the_file_needs_no_whole_map_of_every_head(
    clearhead: Clearhead, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def whole_maps(*given: object) -> None:
        raise AssertionError("a long text has maps of many gigabytes")

    monkeypatch.setattr("clearhead.service.look.look_at", whole_maps)
    assert clearhead("look", finished, "7 8", "--html", tmp_path / "a.html").exit_code == 0


def test_a_browser_is_opened_only_where_there_is_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_display()
