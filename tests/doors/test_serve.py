"""``clearhead serve`` as a user meets it before anything is served; what it serves is ``tests/server``'s."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from .conftest import Clearhead


def test_without_the_extra_it_says_what_to_install(clearhead: Clearhead, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    result = clearhead("serve", "run")
    assert result.exit_code == 1
    assert "'uvicorn', which is not installed: pip install 'clearhead[serve]'" in result.stderr


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--host", "0.0.0.0"), "host: '0.0.0.0' can be reached from other machines, which needs a token"),
        (("--deadline", "0"), "limits.deadline: expected a number > 0.0, got 0.0"),
        (("--token-file", "missing.txt"), "missing.txt: no such file"),
        (("--port", "0"), "run is not a run folder"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_loaded(
    clearhead: Clearhead, words: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = clearhead("serve", "run", *words)
    assert result.exit_code == 1
    assert sentence in result.stderr and len(result.stderr.splitlines()) == 1
