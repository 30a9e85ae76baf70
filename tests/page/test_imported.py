"""Imported models in a real browser: tokens, heads, weights; and what the page refuses says why."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from clearhead.service.looking.request import Asked
from clearhead.service.looking.seen import see
from clearhead.service.serving import Served, open_runs

from ..server.running import running
from ..service.imported import ENCODER_DECODERS, FAMILIES, TEXT, import_all
from .conftest import Visit


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> list[Served]:
    return open_runs(list(import_all(tmp_path_factory.mktemp("imported")).values()))


@pytest.fixture(scope="module")
def service(served: list[Served]) -> Iterator[str]:
    """In place of the service of the other tests: one of imported models."""
    with running(served) as found:
        yield f"http://127.0.0.1:{found.port}"


@pytest.mark.parametrize("family", FAMILIES)
def test_an_imported_model_shows_its_tokens_and_heads(visit: Visit, served: list[Served], family: str) -> None:
    (model,) = (each for each in served if each.name == family)
    given = {"target": "of May"} if family in ENCODER_DECODERS else {}
    seen = see(model.predictor, model.task, Asked(family, TEXT, **given))
    page: Any = visit.go(model=family, text=TEXT, attention=seen.attentions[-1].name, **given)
    assert page.locator(".strip:nth-child(1) .label").all_text_contents() == list(seen.sides["source"])
    assert page.locator(".cell").count() == 6 * (3 if family in ENCODER_DECODERS else 1)
    page.locator(".map canvas").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    visit.settle()
    told = page.locator(".map .readout").text_content()
    wanted = float(seen.records[seen.attentions[-1].name].weights()[0, 0, 1, 0])
    assert float(told.rpartition(": ")[2]) == pytest.approx(wanted, rel=2e-3, abs=1e-4)
    page.get_by_role("button", name="Step by step").click()
    page.wait_for_selector(".steps table")
    visit.go(model=family, text=TEXT, view="places")
    assert page.locator(".pictures canvas").count() >= 1
