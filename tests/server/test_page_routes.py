"""The page's data routes: what is asked for wrongly is refused with a sentence, what is gone says so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearhead.server.page_routes import FRAME
from clearhead.service.head_file import write_heads
from clearhead.service.head_importance import head_importance
from clearhead.service.looking.frames import from_frame
from clearhead.service.run_folder import RunFolder

from .running import Service

LOOK = {"model": "toy", "text": "3 1 4"}


@pytest.fixture(scope="module")
def key(service: Service) -> str:
    return str(service.ask("POST", "/page/look", LOOK).json["key"])


@pytest.mark.parametrize(
    ("question", "status", "said"),
    [
        ({**LOOK, "text": "  "}, 422, "the text is empty"),
        ({**LOOK, "text": 3}, 422, "text"),
        ({**LOOK, "text": "x" * 30_000}, 413, "at most 20000 characters"),
        ({**LOOK, "model": "toi"}, 404, "no model of that name"),
        ({**LOOK, "beam": 0}, 422, "beam"),
        ({**LOOK, "tokens": 1 << 63}, 422, "tokens"),
        ({**LOOK, "silenced": {"decoder.0.cros": [1]}}, 422, "did you mean 'decoder.0.cross'"),
        ({**LOOK, "silenced": {"decoder.0.cross": [-1]}}, 422, "silenced"),
        ({**LOOK, "colour": "red"}, 422, "colour"),
        (b'{"model": "toy", "text": NaN}', 400, "NaN"),
        (b'{"model": "toy", "text": "\\ud800"}', 400, ""),
    ],
)
def test_a_wrong_question_is_refused(service: Service, question: Any, status: int, said: str) -> None:
    reply = service.ask("POST", "/page/look", question)
    assert (reply.status, said in reply.message) == (status, True), reply.body


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("000000000000000000000000/small?attention=decoder.0.cross", 410, "ask for it again"),
        ("KEY/small?attention=decoder.9.cross", 422, "attention: expected one of"),
        ("KEY/small?attention=decoder.0.cross&size=100000", 422, ""),
        ("KEY/tile?attention=decoder.0.cross&head=4", 422, "head: expected a number from 0 to 3"),
        ("KEY/tile?attention=decoder.0.cross&head=0&row=-1", 422, ""),
        ("KEY/tile?attention=decoder.0.cross&head=0&level=99", 422, ""),
        ("KEY/token?attention=decoder.0.cross&head=0&query=99", 422, "query: expected a number from 0 to"),
        ("KEY/steps?attention=decoder.0.cross&head=0&query=1e309", 422, ""),
        ("KEY/steps?attention=decoder.0.cross&head=-1&query=0", 422, "head: expected a number from 0 to 3"),
        ("KEY/points?station=nowhere", 422, "station: expected one of"),
        ("..%2f..%2fetc/small?attention=a", 404, ""),
    ],
)
def test_a_wrong_address_is_refused(service: Service, key: str, path: str, status: int, said: str) -> None:
    reply = service.ask("GET", f"/page/look/{path.replace('KEY', key)}")
    assert reply.status == status, reply.body
    assert said in reply.message


def test_a_tile_beyond_the_map_is_empty_and_frames_are_not_kept(service: Service, key: str) -> None:
    reply = service.ask("GET", f"/page/look/{key}/tile?attention=decoder.0.cross&head=0&row=5000&column=0")
    assert (reply.status, reply.headers["content-type"], reply.headers["cache-control"]) == (200, FRAME, "no-store")
    _, arrays = from_frame(reply.body)
    assert arrays["cells"].shape[0] == 0
    whole = from_frame(service.ask("GET", f"/page/look/{key}/tile?attention=decoder.0.cross&head=-1").body)[1]["cells"]
    assert whole.dtype == np.float16 and whole.sum(1) == pytest.approx(np.ones(len(whole)), abs=2e-3)


def test_the_same_question_is_answered_from_what_is_kept(service: Service, key: str) -> None:
    again = service.ask("POST", "/page/look", LOOK)
    assert again.json["key"] == key
    assert service.ask("GET", "/page/models").json[0]["name"] == "toy"
    assert service.ask("GET", "/page/models/toy/history").json
    assert service.ask("GET", "/page/models/toy/recording").json == {"frames": []}
    assert service.ask("GET", "/page/models/toi/history").status == 422
    assert service.ask("GET", "/page/models/toi/heads").status == 422
    assert service.ask("GET", "/page/models/toy/recording/maps?frame=0&sentence=0").status == 422


def test_what_heads_are_worth_is_told_once_it_was_measured(service: Service, toy_run: Path) -> None:
    assert service.ask("GET", "/page/models/toy/heads").json == {"heads": []}
    report = head_importance(toy_run, metric="exact_match", examples=5, samples=10)
    path = write_heads(toy_run, report, RunFolder(toy_run).card().weights_sha256)
    try:
        told = service.ask("GET", "/page/models/toy/heads").json
        assert (told["metric"], told["unit"], told["count"]) == ("exact_match", "pairs", 5)
        assert told["intact"] == asdict(report.intact)
        assert told["heads"] == [asdict(head) for head in report.ranked()]
        path.write_text("{", encoding="utf-8")
        damaged = service.ask("GET", "/page/models/toy/heads")
        assert damaged.status >= 400 and "heads.json" in damaged.message
    finally:
        path.unlink()
