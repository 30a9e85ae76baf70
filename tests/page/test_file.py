"""The page as one file, opened from disk: the same answer and maps, nothing asked of anybody, bounded in size."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.service.looking.file import page_of, write_page
from clearhead.service.looking.request import Asked
from clearhead.service.looking.seen import Seen, see
from clearhead.service.serving import Served, open_runs

from .conftest import WIDE

HOSTILE = "</script><script>window.hit=1</script> \u2028 \u202e ]]> <!-- "


@pytest.fixture(scope="module")
def translator(every_kind: dict[str, Path]) -> Served:
    (model,) = open_runs([every_kind["translation"]])
    return model


def long_one(translator: Served) -> Seen:
    return see(translator.predictor, "translation", Asked("m", " ".join("3141592653" * 51), "eins zwei"))


def opened(browser: Any, path: Path) -> tuple[Any, list[str]]:
    page = browser.new_page(viewport=WIDE, locale="en-US")
    said: list[str] = []
    page.on("console", lambda message: message.type == "error" and said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda asked: asked.url.startswith(("file:", "data:", "blob:")) or said.append(asked.url))
    page.goto(path.as_uri())
    page.wait_for_selector(".chip")
    return page, said


def test_it_shows_the_answer_and_its_maps(browser: Any, every_kind: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "look.html"
    assert write_page(every_kind["translation"], "3 1 4 1", path).endswith("MB")
    page, said = opened(browser, path)
    (model,) = open_runs([every_kind["translation"]])
    seen = see(model.predictor, "translation", Asked("m", "3 1 4 1"))
    assert page.locator(".strip:nth-child(2) .label").all_text_contents() == [each.label for each in seen.written]
    page.locator(".layer[data-name='encoder.0.self'] .cell").nth(2).click()
    page.locator(".map canvas").focus()
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(".chip.query")
    weights = seen.records["encoder.0.self"].weights()[0, 2, 0]
    told = page.locator(".strip:nth-child(1) .chip").evaluate_all(
        "chips => chips.map(chip => Number(chip.style.getPropertyValue('--looks-share')))"
    )
    assert told == pytest.approx(weights.tolist(), abs=1 / 255)
    assert said == []
    page.close()


def test_hostile_text_stays_text(browser: Any, every_kind: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "look.html"
    write_page(every_kind["classification"], HOSTILE, path)
    page, said = opened(browser, path)
    assert page.evaluate("window.hit") is None
    assert page.get_by_label("Text to look at").input_value() == HOSTILE
    assert said == []
    page.close()


def test_its_policy_names_its_script_and_nothing_else(every_kind: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "look.html"
    write_page(every_kind["tagging"], "twenty one", path)
    text = path.read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy and policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r"<(script|link|img|iframe)[^>]+(src|href)=", text.partition("<script")[0])
    assert '<script id="data" type="application/json">' in text and "http://" not in policy[1]


def test_512_tokens_fit_in_five_megabytes_and_less_room_leaves_maps_out(translator: Served) -> None:
    seen = long_one(translator)
    assert len(seen.sides["source"]) == 511
    page = page_of(translator, seen)
    assert len(page.encode()) <= 5_000_000
    assert '"left_out":[]' in page
    small = page_of(translator, seen, most_bytes=200_000)
    assert len(small.encode()) <= 200_000
    assert '"left_out":["encoder.' in small


def test_a_diverged_model_is_shown_with_what_there_is(translator: Served) -> None:
    seen = see(translator.predictor, "translation", Asked("m", "3 1", "eins"))
    record = seen.records["decoder.0.cross"]
    broken = replace(record, q=torch.full_like(record.q, float("nan")))
    page = page_of(translator, replace(seen, records=seen.records | {"decoder.0.cross": broken}, cache={}))
    assert "NaN" not in page.partition('type="application/json">')[2].partition("</script>")[0]
