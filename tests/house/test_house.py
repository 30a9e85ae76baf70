"""The house guards itself: import direction, lengths, argument counts, names, safe loading, quiet import.

Each rule is first shown to fail on a small bad file, then the real files are held to it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .rules import ARGUMENTS, FILE_LINES, FUNCTION_LINES, MAY_IMPORT, violations

SRC = Path(__file__).parents[2] / "src"
FILES = sorted(SRC.rglob("*.py"))
DOC = '"""A file."""\n'
NINE = ", ".join(f"a{i}" for i in range(ARGUMENTS + 1))

IMPORTS = [  # the importing file's room, the import, what is said about it
    ("models", "from clearhead.training.loss import f", "models must not import training"),
    ("models", "import clearhead.tasks.metrics", "models must not import tasks"),
    ("models", "import clearhead.generation.beam", "models must not import generation"),
    ("generation", "import clearhead.inspection.capture", "generation must not import inspection"),
    ("inspection", "import clearhead.generation.beam", "inspection must not import generation"),
    ("text", "def f():\n    import torch", "text must not know torch"),
    ("data", "import clearhead.training.loop", "data must not import training"),
    ("service", "import clearhead.cli.main", "service must not import cli"),
    ("data", "import clearhead", "imports the public face"),
    ("data", "from clearhead import load", "imports the public face"),
    ("data", "from .order import X", "relative import"),
    ("data", "import pickle", "pickle can run code"),
]
CODE = [
    ("x = 1\n" * FILE_LINES, f"{FILE_LINES + 1} lines, limit {FILE_LINES}"),
    ("def f():\n" + "    x = 1\n" * FUNCTION_LINES, "f has 51 lines"),
    ("class A:\n  def f(self):\n" + "    x = 1\n" * FUNCTION_LINES, "f has 51 lines"),
    (f"def f({NINE}): ...", "f takes 9 arguments"),
    (f"class A:\n  def f(self, *, {NINE}): ...", "f takes 9 arguments"),
    ("def f(**kwargs): ...", "f takes **kwargs"),
    ("import torch\ntorch.load('x')", "torch.load can run code"),
    ("eval('1')", "eval can run code"),
    ("exec('1')", "exec can run code"),
    ("import numpy\nnumpy.load('x', allow_pickle=True)", "numpy.load can run code"),
    ("print(1)", "the core does not print"),
]
BAD = [(f"clearhead/{room}/a.py", DOC + code, expected) for room, code, expected in IMPORTS]
BAD += [("clearhead/data/a.py", DOC + code, expected) for code, expected in CODE]
BAD += [
    ("clearhead/errors.py", DOC + "import clearhead.text.learn", "errors must not import text"),
    ("clearhead/data/utils.py", DOC, "'utils' says nothing"),
    ("clearhead/data/a.py", "x = 1", "does not open with a paragraph"),
]
ALLOWED = "import torch\nfrom clearhead import __version__\nfrom clearhead.errors import X\n"


@pytest.mark.parametrize(("path", "code", "expected"), BAD)
def test_each_rule_fails_on_a_file_that_breaks_it(path: str, code: str, expected: str) -> None:
    found = violations(path, code)
    assert len(found) == 1, found
    assert expected in found[0]


def test_good_files_pass() -> None:
    code = f"def f(self, {NINE[4:]}): model.eval()\ndef predict(x, **decoding): ..."
    assert violations("clearhead/training/a.py", DOC + ALLOWED + code) == []
    assert violations("clearhead/cli/a.py", f"{DOC}from clearhead.service.run import x\nprint(x)") == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SRC).as_posix())
def test_the_file_keeps_the_rules(path: Path) -> None:
    assert violations(path.relative_to(SRC).as_posix(), path.read_text(encoding="utf-8")) == []


def test_every_room_stands_in_the_import_table() -> None:
    rooms = {path.parent.name for path in (SRC / "clearhead").glob("*/__init__.py")}
    assert rooms == set(MAY_IMPORT)


def test_no_room_can_reach_itself_through_the_table() -> None:
    def reach(room: str, seen: frozenset[str]) -> None:
        assert room not in seen, (room, seen)
        for below in MAY_IMPORT[room]:
            reach(below, seen | {room})

    for room in MAY_IMPORT:
        reach(room, frozenset())


def test_import_is_quiet_and_light() -> None:
    heavy = ["torch", "transformers", "matplotlib", "pyarrow", "tokenizers", "sacrebleu", "typer", "rich"]
    code = f"import sys, json, clearhead; json.dump([m for m in {heavy} if m in sys.modules], sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert json.loads(done.stderr) == []
