"""Documentation runs: every ``python`` and ``sh`` block of every document, every link, the table of rooms.

The questions have a test of their own, ``test_questions``, which also holds a translation to its original's blocks.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from ..house.rules import MAY_IMPORT
from .blocks import ROOT, Block, blocks, install_commands, run_shell
from .published import write_published

DOCUMENTS = [*sorted(ROOT.glob("README*.md")), ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
HERE = [document for document in DOCUMENTS if not document.name.endswith(".zh.md") and document.name != "questions.md"]
RUNNABLE = {document: [b for b in blocks(document) if b.language in ("python", "sh")] for document in HERE}
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
LARGEST_PICTURE = 200_000


def names(document: Path) -> str:
    return document.relative_to(ROOT).as_posix()


@pytest.fixture
def home(date_reader: Path, tmp_path: Path) -> Path:
    """The folder a reader stands in after ``make demo``, with sentence pairs of their own and downloaded models."""
    folder = tmp_path / "home"
    shutil.copytree(date_reader, folder)
    for name, size in (("train", 60), ("valid", 8), ("test", 8)):
        for language, words in (("en", "a small house number"), ("de", "ein kleines Haus mit Nummer")):
            lines = "".join(f"{words} {number}\n" for number in range(size))
            (folder / f"{name}.{language}").write_text(lines, encoding="utf-8")
    write_published(folder)
    install_commands(tmp_path / "commands")
    return folder


@pytest.mark.parametrize("document", [d for d, found in RUNNABLE.items() if found], ids=names)
def test_every_block_runs(document: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    namespace: dict[str, object] = {"__name__": "document"}
    for block in RUNNABLE[document]:
        if block.language == "sh":
            if "curl " in block.text and shutil.which("curl") is None:
                pytest.skip("there is no curl here")
            done = run_shell(block.text, home, home.parent / "commands")
            assert done.returncode == 0, f"{names(document)}:{block.line}\n{done.stdout}\n{done.stderr}"
        else:
            exec(compile_block(document, block), namespace)


def compile_block(document: Path, block: Block) -> object:
    """The block's code, with line numbers of the document in its traceback."""
    return compile("\n" * block.line + block.text, str(document), "exec")


@pytest.mark.parametrize("document", DOCUMENTS, ids=names)
def test_links_lead_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_pictures_are_small() -> None:
    pictures = [p for p in (ROOT / "docs" / "pictures").iterdir() if p.is_file()]
    assert pictures
    assert [names(picture) for picture in pictures if picture.stat().st_size > LARGEST_PICTURE] == []


def test_the_architecture_tells_the_import_table_as_it_is() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \|[^|]*\|([^|]*)\|$", (ROOT / "docs/architecture.md").read_text(encoding="utf-8"), re.M
    )
    assert {room: set(re.findall(r"\w+", arrows)) for room, arrows in rows} == MAY_IMPORT


def test_a_failing_command_is_seen(home: Path) -> None:
    done = run_shell("clearhead no-such-command\necho went on", home, home.parent / "commands")
    assert done.returncode == 2
    assert "went on" not in done.stdout
