"""The first view in a real browser: what it shows are the numbers that Python computes, whatever is clicked."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from clearhead.service.load import load
from clearhead.service.looking.request import Asked
from clearhead.service.looking.seen import Seen, see
from clearhead.service.looking.steps import steps

from ..service.kinds import TEXTS
from .conftest import NARROW, Visit

DIGITS, WORDS = "3 1 4 1", "drei eins vier eins"


@pytest.fixture(scope="module")
def seen(every_kind: dict[str, Path]) -> dict[str, Seen]:
    given = {"translation": WORDS}
    return {task: see(load(run), task, Asked(task, TEXTS[task], given.get(task))) for task, run in every_kind.items()}


def texts(page: Any, selector: str) -> list[str]:
    found: list[str] = page.locator(selector).all_text_contents()
    return found


def weight(page: Any) -> float:
    """The weight that the map's words tell."""
    told = page.locator(".map .readout").text_content()
    return float(told.rpartition(": ")[2].replace("−", "-"))


def test_a_sentence_is_typed_and_answered_token_by_token(visit: Visit, every_kind: dict[str, Path]) -> None:
    page = visit.go(model="translation")
    page.get_by_label("Text to look at").fill(DIGITS)
    page.get_by_role("button", name="Look", exact=True).last.click()
    visit.settle()
    translator: Any = load(every_kind["translation"])
    best = see(translator, "translation", Asked("translation", DIGITS))
    assert texts(page, ".strip:nth-child(1) .label") == list(best.sides["source"])
    assert texts(page, ".strip:nth-child(2) .label") == [each.label for each in best.written]
    for told, each in zip(texts(page, ".strip:nth-child(2) .chance"), best.written, strict=True):
        assert float(told.removesuffix(" %")) == pytest.approx(100 * (each.probability or 0), abs=0.5)
    assert "text=3+1+4+1" in page.url


def test_the_rivals_of_a_token_are_told(visit: Visit, seen: dict[str, Seen]) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS)
    page.locator(".strip:nth-child(2) .chip").nth(1).hover()
    rivals = seen["translation"].written[1].rivals
    assert texts(page, ".card bdi") == [each.label for each in rivals]


@pytest.mark.parametrize("task", TEXTS)
def test_every_kind_of_model_shows_all_its_heads(visit: Visit, seen: dict[str, Seen], task: str) -> None:
    page = visit.go(model=task, text=TEXTS[task], **({"target": WORDS} if task == "translation" else {}))
    found = seen[task]
    assert page.locator(".cell").count() == sum(each.heads for each in found.attentions)
    labels = [*found.sides["source"]] if task != "translation" else [*found.sides["source"], *found.sides["target"]]
    assert set(texts(page, ".chip .label")) >= {label for label in labels if task != "tagging"} - {"<s>"}
    last = found.attentions[-1]
    page.locator(f".layer[data-name='{last.name}'] .cell").nth(1).click()
    visit.settle()
    canvas = page.locator(".map canvas")
    canvas.focus()
    for press in ("ArrowDown", "ArrowRight"):  # from nothing to the first row, the first column, then on
        page.keyboard.press(press)
    visit.settle()
    state = parse_qs(urlsplit(page.url).fragment)
    query, key = int(state["query"][0]), int(state["key"][0])
    wanted = float(found.records[last.name].weights()[0, 1, query, key])
    assert weight(page) == pytest.approx(wanted, rel=2e-3, abs=1e-4)


def test_pointing_at_a_cell_tells_its_weight(visit: Visit, seen: dict[str, Seen]) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS, attention="encoder.1.self", head=2)
    record = seen["translation"].records["encoder.1.self"].weights()[0, 2]
    box = page.locator(".map canvas").bounding_box()
    count = record.shape[0]
    cell = 34  # the largest a cell gets
    top = box["height"] - 8 - count * cell
    for row, column in ((0, 0), (2, 1), (count - 1, count - 1)):
        x = box["x"] + _left(page) + (column + 0.5) * cell
        page.mouse.move(x, box["y"] + top + (row + 0.5) * cell)
        visit.settle()
        assert weight(page) == pytest.approx(float(record[row, column]), rel=2e-3, abs=1e-4)


def _left(page: Any) -> float:
    """Where the first column of the map begins: what is left of it holds the labels of rows."""
    found: float = page.evaluate(
        "(() => { const c = document.querySelector('.map canvas').getContext('2d');"
        "c.font = \"12px system-ui, 'Noto Sans', 'Noto Sans CJK SC', sans-serif\";"
        "const labels = [...document.querySelectorAll('.strip:nth-child(1) .label')].map(e => e.textContent);"
        "return Math.min(150, Math.max(30, 20, ...labels.map(l => c.measureText(l).width))) + 14; })()"
    )
    return found


def test_pointing_at_a_token_colours_where_it_looks_and_who_looks(visit: Visit, seen: dict[str, Seen]) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS, attention="decoder.1.cross", head=3)
    weights = seen["translation"].records["decoder.1.cross"].weights()[0, 3]
    share = "element => Number(getComputedStyle(element).getPropertyValue('{}'))"
    page.locator(".strip:nth-child(2) .chip").nth(2).hover()
    visit.settle()
    page.wait_for_selector(".chip.query")
    chips = page.locator(".strip:nth-child(1) .chip")
    told = [chips.nth(place).evaluate(share.format("--looks-share")) for place in range(weights.shape[1])]
    assert told == pytest.approx(weights[2].tolist(), abs=1e-5)
    chips.nth(1).hover()
    page.wait_for_selector(".chip.key")
    visit.settle()
    written = page.locator(".strip:nth-child(2) .chip")
    told = [written.nth(place).evaluate(share.format("--seen-share")) for place in range(weights.shape[0])]
    assert told == pytest.approx(weights[:, 1].tolist(), abs=1e-5)


def test_lines_are_as_strong_as_their_weights(visit: Visit, seen: dict[str, Seen]) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS, attention="decoder.0.cross", head=1, panel="lines")
    page.wait_for_selector(".lines path", state="attached")
    weights = seen["translation"].records["decoder.0.cross"].weights()[0, 1]
    told = page.evaluate(
        "[...document.querySelectorAll('.lines path')].map(line => "
        "[line.dataset.query, line.dataset.key, line.style.getPropertyValue('--weight')].map(Number))"
    )
    assert len(told) == int((weights >= 0.012).sum())
    for query, key, strength in told:
        assert strength == pytest.approx(float(weights[int(query), int(key)]), abs=1e-3)


@pytest.mark.parametrize(
    ("task", "attention"), [("translation", "decoder.1.self"), ("language-model", "decoder.0.self")]
)
def test_step_by_step_shows_the_real_numbers(visit: Visit, seen: dict[str, Seen], task: str, attention: str) -> None:
    given = {"target": WORDS} if task == "translation" else {}
    page = visit.go(model=task, text=TEXTS[task], attention=attention, head=1, panel="steps", query=2, **given)
    page.wait_for_selector(".steps table")
    way = steps(seen[task].records[attention], 1, 2)
    for _ in range(6):
        page.get_by_role("button", name="Next").click()
    rows = page.locator(".steps tbody tr")
    assert rows.count() == len(way.keys)
    for row in range(rows.count()):
        cells = rows.nth(row).locator("td.number").all_text_contents()
        raw, scaled, *masked, share = (float(text.replace("−", "-").replace("∞", "inf")) for text in cells)
        assert raw == pytest.approx(float(way.raw[row]), rel=6e-3, abs=1e-6)
        assert scaled == pytest.approx(float(way.scaled[row]), rel=6e-3, abs=1e-6)
        assert (masked == [float("-inf")]) == (not way.visible[row])
        assert share == pytest.approx(float(way.weights[row]), rel=6e-3, abs=1e-6)
    assert page.locator(".vector.sum").count() == 2
    assert page.locator(".vector.sum").last.locator("i").count() == len(way.added)
    page.get_by_role("button", name="Back").click()
    assert page.locator(".stages [aria-pressed=true]").text_content().startswith("6")


def test_switching_a_head_off_shows_both_answers(visit: Visit, every_kind: dict[str, Path]) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS, attention="decoder.1.cross", head=0)
    page.get_by_role("button", name="Switch this head off").click()
    page.locator(".version.intact").wait_for()
    visit.settle()
    silenced = {"decoder.1.cross": (0,)}
    wanted = see(load(every_kind["translation"]), "translation", Asked("translation", DIGITS, WORDS, silenced))
    told = [float(text.removesuffix(" %")) for text in texts(page, ".version:not(.intact) .chance")]
    assert told == pytest.approx([100 * (each.probability or 0) for each in wanted.written], abs=0.5)
    assert "Without 1 head" in page.locator(".answer").text_content()
    assert page.locator(".cell.off").count() == 1
    page.get_by_role("button", name="Switch all on").click()
    visit.settle()
    assert page.locator(".cell.off").count() == 0 and page.locator(".version.intact").count() == 0


def test_a_link_carries_the_state_and_back_goes_back(visit: Visit) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS)
    page.locator(".layer[data-name='encoder.0.self'] .cell").nth(3).click()
    page.get_by_role("button", name="Lines").click()
    address = page.url
    page.get_by_role("button", name="Training", exact=True).click()
    page.go_back()
    visit.settle()
    assert page.url == address
    page.goto("about:blank")
    page.goto(address)
    page.wait_for_selector(".lines path", state="attached")
    assert page.locator(".title h2").text_content() == "encoder.0.selfhead 3"


def test_the_keyboard_alone_is_enough(visit: Visit) -> None:
    page = visit.go(model="translation")
    page.keyboard.press("Tab")
    page.get_by_label("Text to look at").focus()
    page.keyboard.type(DIGITS)
    page.keyboard.press("Enter")
    visit.settle()
    page.locator(".cell[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".cell[aria-pressed=true]").get_attribute("aria-label").endswith("head 1")
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    page.keyboard.press("x")
    page.locator(".cell.off").wait_for()
    visit.settle()


@pytest.mark.parametrize("viewport", [NARROW, {"width": 1440, "height": 900}])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_sticks_out(visit: Visit, viewport: dict[str, int], theme: str) -> None:
    visit.page.set_viewport_size(viewport)
    for panel in ("map", "lines", "steps"):
        page = visit.go(model="translation", text=DIGITS, target=WORDS, panel=panel, theme=theme)
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(22, 25, 31)" if theme == "dark" else "rgb(255, 255, 255)")


def test_chinese_has_no_english_left(visit: Visit) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS, lang="zh")
    assert page.evaluate("document.documentElement.lang") == "zh"
    for text in texts(page, ".top nav button, .title button, .hint, h3"):
        assert any("一" <= letter <= "鿿" for letter in text), text
    page.get_by_role("button", name="English").click()
    assert texts(page, ".top nav button")[0] == "Look"


HOSTILE = ["</script><script>window.hit=1</script>", "\"><img src=x onerror='window.hit=1'>", "a\u2028b\u202ec"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_text_is_shown_and_never_obeyed(visit: Visit, hostile: str) -> None:
    page = visit.go(model="classification", text=hostile)
    visit.settle()
    assert page.evaluate("window.hit") is None
    assert page.get_by_label("Text to look at").input_value() == hostile
    page = visit.go(model="language-model", text=hostile, view="compare", text2=hostile)
    assert page.evaluate("window.hit") is None
    assert texts(page, ".half h2 bdi")[0] == hostile


def test_an_error_is_a_sentence(visit: Visit) -> None:
    page = visit.go(model="translation", text=DIGITS, off="decoder.0.cros:1")
    page.locator(".message.wrong").wait_for()
    assert "did you mean 'decoder.0.cross'" in page.locator(".message").text_content()
    visit.complaints.clear()  # the browser's own word for a status that is no success
