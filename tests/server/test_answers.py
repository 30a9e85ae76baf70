"""What the routes answer: the same as the model in the same process, however requests come together."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from clearhead.errors import ConfigurationError
from clearhead.inspection.plain import PlainInspection
from clearhead.server.settings import Limits, ServerSettings
from clearhead.service.serving import Served, open_runs

from .running import Service, exchange, post, running

INPUTS = ["1 2 3", "", "7", "4 5", "   ", "9 8 7 6 5 4 3 2 1 0", "9 9"]


def tokens(answers: list[dict[str, Any]]) -> list[list[tuple[str, ...]]]:
    return [[tuple(each["pieces"]) for each in answer["n_best"]] for answer in answers]


def alone(toy: Served, inputs: list[str], **decoding: Any) -> list[list[tuple[str, ...]]]:
    return tokens([answer.as_dict() for answer in toy.predictor.predict(inputs, **decoding)])


@pytest.mark.parametrize(
    "decoding", [{}, {"beam": 1}, {"beam": 4, "n_best": 3}, {"sample": True, "seed": 5, "n_best": 2}]
)
def test_answers_are_those_of_predict(service: Service, toy: Served, decoding: dict[str, Any]) -> None:
    reply = service.predict(INPUTS, decoding=decoding)
    assert reply.status == 200
    assert reply.json["model"] == "toy"
    assert [answer["input"] for answer in reply.json["results"]] == INPUTS
    assert tokens(reply.json["results"]) == alone(toy, INPUTS, **decoding)


@pytest.mark.parametrize("decoding", [{}, {"sample": True, "seed": 5}])
def test_requests_at_once_are_answered_as_each_alone(service: Service, toy: Served, decoding: dict[str, Any]) -> None:
    asked = [[f"{i % 10} {i // 10}", "3"] if i % 3 else [f"{i // 7}"] for i in range(30)]

    async def all_at_once() -> list[Any]:
        path = "/v1/models/toy/predict"
        requests = [post(path, {"inputs": inputs, "decoding": decoding}) for inputs in asked]
        return await asyncio.gather(*(exchange(service.port, request) for request in requests))

    before = service.measured("batch_texts_count")
    for inputs, reply in zip(asked, asyncio.run(all_at_once()), strict=True):
        assert reply.status == 200, reply.body
        assert tokens(reply.json["results"]) == alone(toy, inputs, **decoding)
    joined = service.measured("batch_texts_count") - before
    assert joined == 30 if "seed" in decoding else joined < 20  # a draw depends on its place among the texts


def test_an_inspection_is_the_models_own(service: Service, toy: Served) -> None:
    body = {"input": "1 2 3", "target": "eins zwei", "layers": [1], "heads": [0, 2], "parts": ["weights", "additions"]}
    seen = toy.predictor.inspect("1 2 3", "eins zwei", layers=[1], heads=[0, 2]).plain(["weights", "additions"])
    reply = service.ask("POST", "/v1/models/toy/inspect", body)
    assert reply.json == json.loads(json.dumps(seen.to_dict()))
    accept = {"Accept": "application/octet-stream"}
    frame = service.ask("POST", "/v1/models/toy/inspect", body, accept)
    assert frame.headers["content-type"] == "application/octet-stream"
    arrays = PlainInspection.from_frame(frame.body).arrays
    assert {name: array.tolist() for name, array in arrays.items()} == {
        name: array.tolist() for name, array in seen.arrays.items()
    }


def test_an_inspection_too_large_is_refused_before_it_is_worked_out(toy: Served) -> None:
    with running([toy], ServerSettings(limits=Limits(inspect_json_numbers=50, inspect_numbers=5000))) as service:
        ask = {"input": "1 2 3", "target": "eins zwei"}
        reply = service.ask("POST", "/v1/models/toy/inspect", ask)
        assert reply.status == 413
        assert "at most 50 are given as application/json" in reply.message
        assert service.ask("POST", "/v1/models/toy/inspect", ask, {"Accept": "application/octet-stream"}).status == 200
        one = ask | {"layers": [0], "heads": [0], "max_full": 64}
        assert service.ask("POST", "/v1/models/toy/inspect", one).status == 200


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"inputs": ["1"], "decoding": {"beem": 2}}, "unknown key decoding.beem (did you mean 'beam'?)"),
        ({"inputs": ["1"], "decoding": {"n_best": 3}}, "n_best 3 results cannot come out of a beam of 2"),
        ({"inputs": ["1"], "decoding": {"beam": 17}}, "decoding.beam: expected a number ≤ 16, got 17"),
        ({"inputs": ["1"], "decoding": {"max_length": 33}}, "room for 32 pieces, got 33"),
        ({"inputs": []}, "inputs: expected a list of at least 1"),
        ({"inputs": "1"}, "inputs: expected a list"),
        ({}, "the key inputs is missing"),
        ({"inputs": [["1", "2"]]}, "should be a string"),
    ],
)
def test_what_cannot_be_answered_is_said_in_a_sentence(service: Service, body: Any, sentence: str) -> None:
    reply = service.ask("POST", "/v1/models/toy/predict", body)
    assert reply.status == 422
    assert sentence in reply.message
    assert reply.json["error"]["code"] == "invalid"


def test_one_bad_request_spoils_no_other_in_its_batch(service: Service) -> None:
    bodies = [{"inputs": [["1"]] if i % 4 == 0 else [str(i % 10)]} for i in range(24)]

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(*(exchange(service.port, post("/v1/models/toy/predict", body)) for body in bodies))

    assert [reply.status for reply in asyncio.run(all_at_once())] == [422 if i % 4 == 0 else 200 for i in range(24)]


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"inputs": ["1"] * 257}, 413, "at most 256 inputs a request, got 257"),
        ({"inputs": ["1", "x" * 20_001]}, 413, "input 2: expected at most 20000 characters"),
    ],
)
def test_limits_of_texts_and_batch(service: Service, body: Any, status: int, sentence: str) -> None:
    reply = service.ask("POST", "/v1/models/toy/predict", body)
    assert (reply.status, sentence in reply.message) == (status, True), reply.message


def test_models_health_metrics_and_the_document(service: Service) -> None:
    (card,) = service.ask("GET", "/v1/models").json["models"]
    assert card["name"] == "toy" and card["task"] == "translation" and card["longest"] == 31 and card["writes"]
    assert service.ask("GET", "/health/ready").json == {"status": "ready"}
    service.predict(["1"])
    metrics = service.ask("GET", "/metrics").body.decode()
    for name in ("requests_total", "request_seconds_bucket", "queue_texts", "batch_texts_bucket", "tokens_total"):
        assert f"clearhead_{name}{{" in metrics
    paths = service.ask("GET", "/openapi.json").json["paths"]
    assert {"/health/live", "/health/ready", "/metrics", "/v1/models", "/v1/models/{name}/predict"} <= set(paths)


def test_what_is_not_there_is_said_as_json(service: Service) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/docs", 404),
        ("GET", "/v1/models/", 404),
        ("DELETE", "/v1/models", 405),
        ("POST", "/v1/models/other/predict", 404),
        ("GET", "/page/look/0123456789abcdef01234567/tile?head=x&attention=a", 422),
    ):
        reply = service.ask(method, path, {} if method == "POST" else None)
        assert (reply.status, set(reply.json["error"])) == (status, {"code", "message"}), path


def test_answers_carry_headers_that_bind_a_browser(service: Service) -> None:
    for path in ("/health/live", "/nothing", "/v1/models"):
        headers = service.ask("GET", path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers and "access-control-allow-origin" not in headers


def test_runs_are_called_as_their_folders_or_as_told(toy_run: Path, tmp_path: Path) -> None:
    assert [each.name for each in open_runs([toy_run, Path(f"other={toy_run}")])] == ["toy", "other"]
    with pytest.raises(ConfigurationError, match="two runs are called 'toy'"):
        open_runs([toy_run, toy_run])
    with pytest.raises(ConfigurationError, match="name it yourself"):
        open_runs([Path(f"a b={toy_run}")])
