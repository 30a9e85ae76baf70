"""A real service on loopback over runs of every kind, and a real browser without a screen.

Where there is no Chromium the tests are skipped, unless ``CLEARHEAD_NEEDS_BROWSER`` says that this must not be, as it
does in CI.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from clearhead.service.head_file import write_heads
from clearhead.service.head_importance import head_importance
from clearhead.service.run_folder import RunFolder
from clearhead.service.serving import open_runs

from ..server.running import running

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 20))))"
WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 480, "height": 900}


@dataclass
class Visit:
    """A page in the browser, and what it complained of or asked of other hosts."""

    page: Any
    base: str
    complaints: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)

    def go(self, **state: object) -> Any:
        """Open the page in a state and wait for what it shows."""
        self.page.goto("about:blank")
        self.page.goto(f"{self.base}/#{urlencode(state)}")
        self.page.wait_for_selector(".top .brand")
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until nothing is asked for any more."""
        self.page.evaluate(FRAMES)
        self.page.wait_for_selector("body:not([aria-busy]) main:not([aria-busy])", state="attached")
        self.page.evaluate(FRAMES)


@pytest.fixture(scope="session")
def weighed(every_kind: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The translator once more, with what its heads are worth."""
    run = Path(shutil.copytree(every_kind["translation"], tmp_path_factory.mktemp("weighed") / "run"))
    write_heads(run, head_importance(run, examples=10, samples=50), RunFolder(run).card().weights_sha256)
    return run


@pytest.fixture(scope="session")
def service(every_kind: dict[str, Path], weighed: Path) -> Iterator[str]:
    """Its address; the models are called as their tasks are, and the one whose heads were weighed is ``weighed``."""
    with running(
        open_runs([Path(f"{task}={run}") for task, run in {**every_kind, "weighed": weighed}.items()])
    ) as found:
        yield f"http://127.0.0.1:{found.port}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright, whose event loop holds this thread until the module is done."""
    found = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    if found is None:
        assert not os.environ.get("CLEARHEAD_NEEDS_BROWSER"), "chromium and playwright must be installed here"
        pytest.skip("needs chromium (apt-get install chromium) and the package playwright")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Any, service: str) -> Iterator[Visit]:
    """A page of its own for one test; in the end it has complained of nothing and asked nobody else."""
    context = browser.new_context(viewport=WIDE, locale="en-US", color_scheme="light", reduced_motion="reduce")
    visit = Visit(context.new_page(), service)
    visit.page.set_default_timeout(15_000)
    visit.page.on("console", lambda said: said.type == "error" and visit.complaints.append(said.text))
    visit.page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    own = (service, "about:", "data:", "blob:")
    visit.page.on("request", lambda asked: asked.url.startswith(own) or visit.strangers.append(asked.url))
    yield visit
    context.close()
    assert visit.complaints == []
    assert visit.strangers == []
