"""The public face: every promised name is there, typed where it is promised, and costs nothing until it is used."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import clearhead

from .conftest import SRC


@pytest.mark.parametrize("name", clearhead.__all__)
def test_every_promised_name_is_there(name: str) -> None:
    assert getattr(clearhead, name) is not None
    assert name in dir(clearhead)


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(clearhead.__file__).read_text(encoding="utf-8"))
    (guarded,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: f"{node.module}.{alias.name}"
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(imported) | {"__version__"} == set(clearhead.__all__)
    for name, home in imported.items():
        value = getattr(clearhead, name)
        assert home == getattr(value, "__module__", value.__name__.rpartition(".")[0]) + f".{name}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'clearhead' has no attribute 'attentoin'"):
        _ = clearhead.attentoin


def test_importing_loads_nothing_else() -> None:
    code = (
        "import sys, clearhead; print(*sorted(name for name in sys.modules if name.partition('.')[0] == 'clearhead'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("clearhead\n", "")
