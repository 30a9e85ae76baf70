"""Imported models are looked at as those trained here: their own tokens, every head, the probability of each token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.service.looking.measures import measures
from clearhead.service.looking.positions import pictures
from clearhead.service.looking.request import Asked
from clearhead.service.looking.seen import see
from clearhead.service.looking.steps import steps
from clearhead.service.serving import Served, open_runs

from ..imported import TEXT, import_all

FAMILIES = ("bert", "gpt2", "llama")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Served]:
    runs: dict[str, Path] = import_all(tmp_path_factory.mktemp("imported"))
    return {model.name: model for model in open_runs(list(runs.values()))}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_head_is_there_with_the_tokens_of_its_rows(served: dict[str, Served], family: str) -> None:
    model = served[family]
    seen = see(model.predictor, model.task, Asked(family, TEXT, tokens=5))
    assert len(seen.attentions) == 2
    for facts in seen.attentions:
        assert seen.records[facts.name].weights().shape == (1, 3, facts.rows, facts.columns)
        assert len(seen.sides[facts.queries]) == facts.rows == facts.columns
        way = steps(seen.records[facts.name], 2, 1)
        assert float(way.weights.sum()) == pytest.approx(1.0, abs=1e-5)
    assert len(measures(seen)) == 6
    assert len(pictures(model.predictor.model, model.predictor.config)) >= 1
    assert set(seen.rows["tokens"]) == {"source"}


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_text_goes_on_and_every_token_is_told(served: dict[str, Served], family: str) -> None:
    model: Any = served[family]
    seen = see(model.predictor, model.task, Asked(family, TEXT, tokens=5))
    assert [each.label for each in seen.written] == list(seen.sides["source"])
    assert any(not each.given for each in seen.written)
    task = model.predictor.task
    ids = torch.tensor([task.prompt(task.tokenizer.encode([TEXT + seen.answer])[0])])
    chances = model.predictor.logits(ids)[0].double().softmax(-1)
    wanted = [float(chances[place, number]) for place, number in enumerate(ids[0, 1:].tolist())]
    assert [each.probability for each in seen.written[1:]] == pytest.approx(wanted, rel=1e-4)
