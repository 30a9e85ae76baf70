"""Imported models behind the service: what they answer and show there is what they do in the same process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from clearhead.service.serving import Served, open_runs

from ..service.imported import ENCODER_DECODERS, FAMILIES, TEXT, import_all
from .running import Service, running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> list[Served]:
    return open_runs(list(import_all(tmp_path_factory.mktemp("imported")).values()))


@pytest.fixture(scope="module")
def service(served: list[Served]) -> Iterator[Service]:
    """In place of the service of the other tests: one of imported models."""
    with running(served) as found:
        yield found


@pytest.mark.parametrize("family", FAMILIES)
def test_an_imported_model_answers_as_in_the_same_process(service: Service, served: list[Served], family: str) -> None:
    (predictor,) = (each.predictor for each in served if each.name == family)
    asked: dict[str, Any] = {} if family == "bert" else {"decoding": {"beam": 2, "max_length": 9}}
    reply = service.predict([TEXT, "Frankreich"], family, **asked)
    assert reply.status == 200, reply.body
    answers = predictor.predict([TEXT, "Frankreich"], **asked.get("decoding", {}))
    assert [each["text"] for each in reply.json["results"]] == [answer.text for answer in answers]
    given = {"target": "of May"} if family in ENCODER_DECODERS else {}
    shown = service.ask("POST", f"/v1/models/{family}/inspect", {"input": TEXT, **given})
    assert shown.json == json.loads(json.dumps(predictor.inspect(TEXT, **given).plain().to_dict()))
