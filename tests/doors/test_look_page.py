"""``clearhead look`` and the page: served until Ctrl-C at a printed address, or written as one file."""

from __future__ import annotations

import re
import signal
import urllib.request
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from clearhead.cli.page import has_display

from .conftest import Clearhead, start


def test_look_serves_the_page_and_ends_with_ctrl_c(finished: Path) -> None:
    process = start("look", finished, "7 8", "--no-browser")
    try:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        parts = urlsplit(address)
        assert (parts.hostname, parse_qs(parts.fragment)) == ("127.0.0.1", {"text": ["7 8"]})
        with urllib.request.urlopen(f"http://{parts.netloc}/", timeout=10) as answer:
            assert b'<div id="page">' in answer.read()
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    finally:
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert b"Traceback" not in errors


def test_look_writes_the_page_as_one_file(clearhead: Clearhead, finished: Path, tmp_path: Path) -> None:
    result = clearhead("look", finished, "7 8", "--html", tmp_path / "a.html")
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.search(r"wrote .*a\.html: 0\.\d MB", result.stderr)
    assert not re.search(r"(src|href)=", (tmp_path / "a.html").read_text(encoding="utf-8").partition("<style>")[0])
    refused = clearhead("look", finished, "7 8", "--html", tmp_path)
    assert refused.exit_code == 1 and "cannot be written" in refused.stderr


def test_a_browser_is_opened_only_where_there_is_a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not has_display()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_display()
