"""Answers that are streamed: every token once and in order, then the whole answer, for every search and task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clearhead.recipes.read import read_recipe
from clearhead.service.serving import Served, open_runs
from clearhead.service.train import train

from ..service.toy_tags import write_toy_tags
from ..service.verse import write_verse
from .running import Service, running

Event = tuple[str, dict[str, Any]]


def streamed(service: Service, inputs: list[Any], name: str = "toy", **decoding: Any) -> list[Event]:
    reply = service.ask("POST", f"/v1/models/{name}/predict", {"inputs": inputs, "stream": True, "decoding": decoding})
    assert (reply.status, reply.headers["content-type"]) == (200, "text/event-stream; charset=utf-8"), reply.body
    events = []
    for block in reply.body.decode().removesuffix("\n\n").split("\n\n"):
        name_line, data = block.split("\n")
        events.append((name_line.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return events


def told(events: list[Event], kind: str) -> list[dict[str, Any]]:
    return [facts for name, facts in events if name == kind]


@pytest.mark.parametrize("decoding", [{"beam": 1}, {"sample": True, "n_best": 3, "seed": 4, "temperature": 2.0}])
def test_tokens_come_one_by_one_and_make_the_answer(service: Service, toy: Served, decoding: dict[str, Any]) -> None:
    inputs = ["1 2 3", "", "9 8 7 6"]
    events = streamed(service, inputs, **decoding)
    assert events[-1] == ("done", {})
    expected = [answer.as_dict() for answer in toy.predictor.predict(inputs, **decoding)]
    assert [facts["input"] for facts in told(events, "result")] == [0, 1, 2]
    for facts, wanted in zip(told(events, "result"), expected, strict=True):
        assert same(facts["answer"], wanted)
    texts: dict[tuple[int, int], str] = {}
    for facts in told(events, "token"):
        key = facts["input"], facts["alternative"]
        texts[key] = texts.get(key, "") + facts["text"]
    for number, wanted in enumerate(expected):
        streamed_texts = sorted(text for (place, _), text in texts.items() if place == number)
        assert streamed_texts == sorted(each["text"] for each in wanted["n_best"] if each["text"])


def same(answer: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """The same pieces; the digits of a score may differ with the batch."""
    found, expected = ([list(each["pieces"]) for each in table["n_best"]] for table in (answer, wanted))
    return found == expected


def test_a_beam_tells_how_far_it_is(service: Service) -> None:
    events = streamed(service, ["1 2 3"], beam=3)
    assert not told(events, "token")
    progress = told(events, "progress")
    assert [facts["tokens"] for facts in progress] == list(range(1, len(progress) + 1))
    assert progress[0]["text"] == "eins"
    assert told(events, "result")[0]["answer"]["text"] == "eins zwei drei"


def test_tokens_are_counted_and_told_of_inputs_that_are_still_written(service: Service) -> None:
    before = service.measured("tokens_total")
    events = streamed(service, ["1 2 3 4", *"56789"], beam=2)
    progress = told(events, "progress")
    assert service.measured("tokens_total") - before == len(progress)
    for number in range(6):
        lengths = [facts["tokens"] for facts in progress if facts["input"] == number]
        assert lengths == list(range(1, len(lengths) + 1))
    longest, shortest = (sum(facts["input"] == number for facts in progress) for number in (0, 1))
    assert longest > shortest


def test_what_is_wrong_is_a_plain_refusal_not_an_event(service: Service) -> None:
    for decoding, status in (({"n_best": 5}, 422), ({"beem": 1}, 422)):
        body = {"inputs": ["1"], "stream": True, "decoding": decoding}
        reply = service.ask("POST", "/v1/models/toy/predict", body)
        assert (reply.status, reply.headers["content-type"]) == (status, "application/json")


def quick_run(recipe: Path) -> Served:
    """A run of a few updates: real files, useless answers."""
    out, few = recipe.parent / "model", ["updates=4", "warmup=1", "validate_every=4", "checkpoint_every=4"]
    for _ in train(read_recipe(recipe, [f"training.{each}" for each in few]), out):
        pass
    (served,) = open_runs([out])
    return served


def test_a_language_model_goes_on_with_a_prompt(tmp_path: Path) -> None:
    served = quick_run(write_verse(tmp_path))
    with running([served]) as service:
        events = streamed(service, ["two house", ""], "model", max_length=9, seed=3)
        for number, facts in enumerate(told(events, "result")):
            pieces = [each["text"] for each in told(events, "token") if each["input"] == number]
            assert len(pieces) == len(facts["answer"]["pieces"])
            assert "".join(pieces) == facts["answer"]["continuation"]


def test_a_tagger_takes_words_and_has_results_alone(tmp_path: Path) -> None:
    served = quick_run(write_toy_tags(tmp_path))
    with running([served]) as service:
        sentence = ["a b", "c"]
        events = streamed(service, [sentence, "d e f"], "model")
        assert [name for name, _ in events] == ["result", "result", "done"]
        assert [facts["answer"]["input"] for facts in told(events, "result")] == [sentence, ["d", "e", "f"]]
        (card,) = service.ask("GET", "/v1/models").json["models"]
        assert (card["task"], card["writes"]) == ("tagging", False)
        reply = service.predict([sentence], "model", decoding={"beam": 2})
        assert (reply.status, "tagging has no option 'beam'" in reply.message) == (422, True)
        assert service.ask("POST", "/v1/models/model/inspect", {"input": sentence}).status == 200
