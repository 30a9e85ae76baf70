"""The other views in a real browser: comparing, heads in numbers, training and its playback, positions and points."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from clearhead.inspection.measures import measure
from clearhead.service.head_file import read_heads
from clearhead.service.load import load
from clearhead.service.looking.looker import Looker
from clearhead.service.looking.points import points
from clearhead.service.looking.request import Asked
from clearhead.service.looking.seen import Seen, see
from clearhead.service.recording import read_recording
from clearhead.service.serving import open_runs

from .conftest import Visit

DIGITS, WORDS = "3 1 4 1", "drei eins vier eins"


@pytest.fixture(scope="module")
def seen(every_kind: dict[str, Path]) -> Seen:
    return see(load(every_kind["translation"]), "translation", Asked("translation", DIGITS, WORDS))


def number(text: str) -> float:
    return float(text.replace("−", "-").replace(",", ""))


def test_heads_in_numbers(visit: Visit, seen: Seen) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS, view="table")
    page.wait_for_selector(".table tbody tr")
    assert page.locator(".table tbody tr").count() == sum(each.heads for each in seen.attentions)
    wanted = measure(seen.records["encoder.1.self"]).as_dict()
    cells = page.locator("tr[data-attention='encoder.1.self'][data-head='2'] td.number").all_text_contents()
    names = ["entropy", "distance", "diagonal", "previous", "next", "first"]
    told = [number(text) for place, text in enumerate(cells[1:]) if place != 2]  # the third is the largest weight
    assert told == pytest.approx([wanted[name][2] for name in names], rel=6e-3, abs=1e-6)
    page.get_by_role("button", name="Entropy").click()
    column = [number(row) for row in page.locator(".table tbody tr td:nth-child(3)").all_text_contents()]
    assert column == sorted(column, reverse=True)
    assert page.locator("th[aria-sort=descending]").count() == 1
    page.locator("tr[data-attention='decoder.1.cross'][data-head='3']").click()
    visit.settle()
    assert page.locator(".title h2").text_content() == "decoder.1.crosshead 3"


def test_what_heads_are_worth(visit: Visit, weighed: Path) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS, view="table")
    page.wait_for_selector(".table tbody tr")
    assert "clearhead heads RUN" in page.locator(".worth").text_content()
    assert page.locator("td[data-name=score]").count() == 0
    report = read_heads(weighed)
    assert report is not None
    page = visit.go(model="weighed", text=DIGITS, target=WORDS, view="table")
    page.wait_for_selector("td[data-name=score]")
    said = page.locator(".worth").text_content()
    assert "loss, lower is better, on 10 pairs of valid" in said
    assert float(said.split(" with all heads")[0].split(", ")[-1].split(" (")[0]) == pytest.approx(
        report.intact.value, rel=6e-4
    )
    for head in report.heads:
        row = page.locator(f"tr[data-attention='{head.name}'][data-head='{head.head}']")
        assert number(row.locator("[data-name=score]").text_content()) == pytest.approx(head.score, rel=6e-4)
        cell = row.locator("[data-name=difference]")
        told = [number(part.strip(" ()")) for part in re.split(r"[(…]", cell.text_content())]
        wanted = [head.difference.value, head.difference.low, head.difference.high]
        assert told == pytest.approx(wanted, rel=6e-3, abs=1e-9)
        faint = "unsure" in cell.get_attribute("class")
        assert faint == (head.difference.low <= 0 <= head.difference.high)
    page.locator("[data-control=difference]").click()
    rows = page.locator(".table tbody tr").evaluate_all("rows => rows.map(row => row.dataset)")
    order = {(head.name, str(head.head)): head.difference.value for head in report.heads}
    column = [order[row["attention"], row["head"]] for row in rows]
    assert column == sorted(column, reverse=True)


def test_two_texts_side_by_side(visit: Visit) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS, view="compare")
    assert page.locator(".half:visible").count() == 1
    page.get_by_label("Second text").fill("3 1 5 1")
    page.get_by_role("button", name="Compare").last.click()
    page.locator(".half >> nth=1").wait_for()
    visit.settle()
    assert page.locator(".half h2 bdi").all_text_contents() == [DIGITS, "3 1 5 1"]
    assert page.locator(".half >> nth=1").locator(".strip:nth-child(1) .label").all_text_contents()[2] == "5"
    page.get_by_label("Attention").select_option("encoder.0.self")
    visit.settle()
    assert "attention=encoder.0.self" in page.url
    assert page.locator(".half .map canvas").count() == 2


def test_two_models_side_by_side(visit: Visit) -> None:
    page = visit.go(model="classification", text="nice apple", view="compare", model2="tagging")
    visit.settle()
    assert page.locator(".half h2 small").all_text_contents() == ["classification", "tagging"]
    assert page.locator(".half .strip").count() == 4


def test_training_curves_and_playback(visit: Visit, every_kind: dict[str, Path]) -> None:
    (model,) = open_runs([every_kind["translation"]])
    looker = Looker({"translation": model})
    curves = {series.name: series for series in looker.history("translation")}
    page = visit.go(model="translation", view="training")
    page.wait_for_selector(".chart")
    told = page.locator(".chart[data-name='training.nll'] .legend b").all_text_contents()
    wanted = [curves["training.nll"].values[-1], curves["validation.loss"].values[-1]]
    assert [number(text) for text in told] == pytest.approx(wanted, rel=6e-3)
    box = page.locator(".chart[data-name='training.nll'] svg").bounding_box()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + 50)
    assert page.locator(".chart[data-name='training.nll'] .readout").text_content().startswith("6: training")
    frames = read_recording(every_kind["translation"]).frames
    assert page.locator(".playback .readout").text_content() == f"after {frames[-1].update} updates"
    assert page.locator(".moments canvas").count() == sum(len(maps) for maps in _maps(every_kind).values())
    page.get_by_label("The heads while they learnt").fill("0")
    visit.settle()
    assert page.locator(".playback .readout").text_content() == f"after {frames[0].update} updates"
    assert "moment=0" in page.url
    visit.go(model="tagging", view="training")
    assert "recorded no maps" in page.locator(".playback").text_content()


def _maps(every_kind: dict[str, Path]) -> dict[str, Any]:
    return dict(read_recording(every_kind["translation"]).maps(0, 0))


def test_positions_and_points(visit: Visit, seen: Seen) -> None:
    page = visit.go(model="translation", text=DIGITS, target=WORDS, view="places")
    page.wait_for_selector(".pictures canvas")
    assert page.locator(".pictures figcaption b").all_text_contents() == [
        "encoder.embedding.positions",
        "decoder.embedding.positions",
    ]
    canvas = page.locator(".pictures canvas").first
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 1, box["y"] + 1)  # position 0, column 0: sin 0
    assert page.locator(".pictures .readout").first.text_content() == "position 0, column 0: 0"
    found = points(seen)
    assert page.locator(".cloud svg text").all_text_contents() == list(found.labels)
    page.get_by_role("combobox").last.select_option("encoder.1")
    visit.settle()
    assert page.locator(".cloud svg text").all_text_contents() == list(seen.sides["source"])
    visit.go(model="language-model", text="two", view="places")
    assert "turned" in page.locator(".pictures").text_content()


def test_a_long_text_sends_only_what_is_on_the_screen(visit: Visit, every_kind: dict[str, Path]) -> None:
    chance = random.Random(4)
    text = " ".join(chance.choice("0123456789") for _ in range(2047))
    sizes: list[tuple[str, int]] = []

    def note(answer: Any) -> None:
        if "/page/look/" in answer.url:
            sizes.append((answer.url, int(answer.headers.get("content-length", 0))))

    visit.page.on("response", note)
    visit.page.set_default_timeout(60_000)
    page = visit.go(model="translation", text=text, target="eins", attention="encoder.1.self", head=2)
    visit.settle()
    assert sizes and sum(size for _, size in sizes) < 1_000_000  # its maps have 2048 · 2048 · 8 weights in float32
    tiles = [url for url, _ in sizes if "/tile?" in url]
    assert len(tiles) == 4 and all("level=2" in url for url in tiles)
    page.locator(".map canvas").focus()
    for _ in range(9):
        page.keyboard.press("+")
    page.keyboard.press("ArrowDown")
    visit.settle()
    near = [url for url, _ in sizes if "/tile?" in url and "level=0" in url]
    assert 1 <= len(near) <= 24  # of 64: those that were in sight on the way
