"""What the page is told, for every kind of model: the numbers are the model's own, any part of a map is that part."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.service.load import load
from clearhead.service.looking.history import history
from clearhead.service.looking.looker import Gone, Looker
from clearhead.service.looking.maps import MEAN, looks_and_is_seen, small_maps, tile
from clearhead.service.looking.measures import measures
from clearhead.service.looking.points import points, principal
from clearhead.service.looking.positions import pictures
from clearhead.service.looking.request import Asked
from clearhead.service.looking.seen import Seen, see
from clearhead.service.looking.steps import steps
from clearhead.service.looking.store import Store
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks.task import Predictor

from ..kinds import TEXTS


@dataclass(frozen=True)
class Loaded:
    name: str
    task: str
    predictor: Predictor
    run: Path


@pytest.fixture(scope="module")
def loaded(every_kind: dict[str, Path]) -> dict[str, Loaded]:
    return {task: Loaded(task, task, load(run), run) for task, run in every_kind.items()}


@pytest.fixture(scope="module")
def seen(loaded: dict[str, Loaded]) -> dict[str, Seen]:
    given = {"translation": "drei eins vier eins"}
    return {task: see(each.predictor, task, Asked(task, TEXTS[task], given.get(task))) for task, each in loaded.items()}


@pytest.mark.parametrize("task", TEXTS)
def test_rows_and_columns_have_their_labels(seen: dict[str, Seen], task: str) -> None:
    for facts in seen[task].attentions:
        weights = seen[task].records[facts.name].weights()[0]
        assert weights.shape == (facts.heads, facts.rows, facts.columns)
        assert len(seen[task].sides[facts.queries]) == facts.rows
        assert len(seen[task].sides[facts.keys]) == facts.columns


def test_a_translation_is_told_with_the_probability_of_each_piece(loaded: dict[str, Loaded]) -> None:
    translator: Any = loaded["translation"].predictor
    found = see(translator, "translation", Asked("m", "3 1 4", beam=1))
    best = translator.predict(["3 1 4"], beam=1)[0].alternatives[0]
    assert found.answer == best.text
    told = [each.probability for each in found.written][: len(best.token_log_probabilities)]
    assert told == pytest.approx(np.exp(best.token_log_probabilities).tolist(), rel=1e-4)
    assert [each.label for each in found.written][-1] == "end"
    assert all(each.rivals[0].probability >= (each.probability or 0) - 1e-9 for each in found.written)
    assert [each.row for each in found.written] == list(range(len(found.written)))


def test_a_given_answer_is_looked_at_instead(loaded: dict[str, Loaded]) -> None:
    found = see(loaded["translation"].predictor, "translation", Asked("m", "3 1", target="null null eins"))
    assert found.answer == "null null eins"
    assert found.sides["target"] == ("null", "null", "eins", "end")
    assert found.sides["fed"] == ("<s>", "null", "null", "eins")


def test_a_text_is_continued_and_every_token_told(loaded: dict[str, Loaded]) -> None:
    writer: Any = loaded["language-model"].predictor
    found = see(writer, "language-model", Asked("m", "two", tokens=5))
    assert len(found.answer) == 5
    assert "".join(found.sides["source"]).endswith(found.answer.replace(" ", "␣").replace("\n", "⏎"))
    assert found.written[0].probability is None
    ids = torch.tensor([writer.task.prompt(writer.task.tokenizer.encode(["two" + found.answer])[0])])
    chances = writer.logits(ids)[0].double().softmax(-1)
    wanted = [float(chances[place, number]) for place, number in enumerate(ids[0, 1:].tolist())]
    assert [each.probability for each in found.written[1:]] == pytest.approx(wanted, rel=1e-5)
    assert see(writer, "language-model", Asked("m", "two", tokens=0)).answer == ""


def test_labels_are_those_of_predict(loaded: dict[str, Loaded], seen: dict[str, Seen]) -> None:
    tagged: Any = loaded["tagging"].predictor.predict([TEXTS["tagging"]])[0]
    assert [each.label for each in seen["tagging"].written] == list(tagged.tags)
    assert [each.about for each in seen["tagging"].written] == TEXTS["tagging"].split()
    assert [each.probability for each in seen["tagging"].written] == pytest.approx(tagged.tagged.probabilities)
    label: Any = loaded["classification"].predictor.predict([TEXTS["classification"]])[0]
    (written,) = seen["classification"].written
    assert written.label == label.label
    assert {guess.label: guess.probability for guess in written.rivals} == pytest.approx(label.scores)
    several: Any = loaded["multilabel"].predictor.predict([TEXTS["multilabel"]])[0]
    assert sorted(each.label for each in seen["multilabel"].written) == sorted(several.labels)
    assert all(each.probability == pytest.approx(several.scores[each.label]) for each in seen["multilabel"].written)


@pytest.mark.parametrize("task", TEXTS)
def test_every_part_of_a_map_is_that_part(seen: dict[str, Seen], task: str) -> None:
    for facts in seen[task].attentions:
        record = seen[task].records[facts.name]
        weights = record.weights()[0].float().numpy()
        np.testing.assert_allclose(small_maps(record, 64), weights, atol=1e-6)
        np.testing.assert_allclose(tile(record, 1, (0, 0), 0), weights[1], atol=1e-6)
        np.testing.assert_allclose(tile(record, MEAN, (1, 2), 0), weights.mean(0)[1:, 2:], atol=1e-6)
        found = looks_and_is_seen(record, 0, query=1, key=0)
        np.testing.assert_allclose(found["looks"], weights[0, 1], atol=1e-6)
        np.testing.assert_allclose(found["seen"], weights[0, :, 0], atol=1e-6)


@pytest.mark.parametrize("corner", [(0, 4096), (4096, 0), (4096, 4096)])
@pytest.mark.parametrize("level", [0, 1, 12])
def test_behind_a_map_there_are_no_cells(seen: dict[str, Seen], corner: tuple[int, int], level: int) -> None:
    record = seen["tagging"].records["encoder.0.self"]
    assert tile(record, MEAN, corner, level).size == 0


def test_a_coarse_tile_holds_the_largest_weight_of_each_block(seen: dict[str, Seen]) -> None:
    record = seen["language-model"].records["decoder.1.self"]
    weights = record.weights()[0, 2].float().numpy()
    rows, columns = weights.shape
    coarse = tile(record, 2, (1, 0), 2)
    assert coarse.shape == (-(-rows // 4) - 1, -(-columns // 4))
    for row in range(coarse.shape[0]):
        for column in range(coarse.shape[1]):
            block = weights[4 * (row + 1) : 4 * (row + 2), 4 * column : 4 * (column + 1)]
            assert coarse[row, column] == pytest.approx(block.max(), abs=1e-6)
    pooled = small_maps(record, 8)
    step = 2 ** int(np.ceil(np.log2(rows / 8)))
    assert pooled[2, 0, 0] == pytest.approx(weights[:step, :step].max(), abs=1e-6)


@pytest.mark.parametrize("task", TEXTS)
def test_the_steps_of_a_query_lead_to_what_the_head_gave(seen: dict[str, Seen], task: str) -> None:
    for facts in seen[task].attentions:
        record = seen[task].records[facts.name]
        way = steps(record, 1, 2)
        weights = record.weights()[0, 1, 2].numpy()
        np.testing.assert_allclose(way.weights, weights, atol=1e-6)
        np.testing.assert_allclose(way.scaled, way.raw * way.scale, rtol=1e-5)
        scores = np.where(way.visible == 1, way.scaled + way.bias, -np.inf)
        np.testing.assert_allclose(np.exp(scores) / np.exp(scores).sum(), weights, atol=1e-6)
        np.testing.assert_allclose(way.k @ way.q, way.raw, atol=1e-5)
        np.testing.assert_allclose(way.weights @ way.v, way.z, atol=1e-6)
        np.testing.assert_allclose(way.z, record.mixed[0, 1, 2].numpy(), atol=1e-5)
        np.testing.assert_allclose(way.added, record.additions()[0, 1, 2].detach().numpy(), atol=1e-5)
    with pytest.raises(ConfigurationError, match="head: expected a number from 0 to"):
        steps(record, 99, 0)


def test_measures_by_hand(seen: dict[str, Seen]) -> None:
    found = {(each.attention, each.head): each.values for each in measures(seen["language-model"])}
    weights = seen["language-model"].records["decoder.0.self"].weights()[0, 3].double()
    count = weights.shape[0]
    away = (torch.arange(count)[:, None] - torch.arange(count)[None]).abs()
    values = found["decoder.0.self", 3]
    assert values["distance"] == pytest.approx(float((weights * away).sum(-1).mean()), rel=1e-5)
    assert values["entropy"] == pytest.approx(float(torch.special.entr(weights).sum(-1).mean()), rel=1e-5)
    assert values["diagonal"] == pytest.approx(float(weights.diagonal().mean()), rel=1e-5)
    assert values["previous"] == pytest.approx(float(weights.diagonal(-1).sum() / count), rel=1e-5)
    assert values["next"] == 0
    assert values["largest"] == pytest.approx(float(weights.amax(-1).mean()), rel=1e-5)
    cross = measures(seen["translation"])[-1]
    assert cross.attention.endswith("cross") and "distance" not in cross.values


def test_a_silenced_head_adds_nothing_and_changes_the_answer(loaded: dict[str, Loaded]) -> None:
    translator = loaded["translation"].predictor
    whole = see(translator, "translation", Asked("m", "3 1", target="eins"))
    without = see(translator, "translation", Asked("m", "3 1", target="eins", silenced={"decoder.0.cross": (1, 3)}))
    added = without.records["decoder.0.cross"].additions()[0]
    assert not added[[1, 3]].any() and added[[0, 2]].all()
    assert [each.probability for each in whole.written] != [each.probability for each in without.written]
    assert whole.asked.key != without.asked.key
    with pytest.raises(ConfigurationError, match=r"decoder\.0\.cross"):
        see(translator, "translation", Asked("m", "3 1", silenced={"decoder.0.cros": (0,)}))


def test_the_same_request_is_answered_from_what_is_kept(loaded: dict[str, Loaded]) -> None:
    looker = Looker(loaded)
    whole = looker.look(Asked("translation", "3 1 4"))
    assert looker.look(Asked("translation", "3 1 4")) is whole
    assert looker.seen(whole.asked.key) is whole
    with pytest.raises(Gone, match="ask for it again"):
        looker.seen("0" * 24)
    with pytest.raises(ConfigurationError, match="did you mean 'translation'"):
        looker.look(Asked("translaton", "3 1 4"))


def test_the_store_lets_go_of_the_least_recently_used(loaded: dict[str, Loaded]) -> None:
    looker = Looker(loaded, Store(budget=1))
    first = looker.look(Asked("tagging", "twenty one"))
    assert len(looker.store) == 1  # the newest stays, whatever its size
    second = looker.look(Asked("tagging", "thirty two"))
    assert looker.store.get(first.asked.key) is None and looker.store.get(second.asked.key) is second
    roomy = Looker(loaded, Store(budget=first.size + second.size))
    for text in ("twenty one", "thirty two", "twenty one", "forty two"):
        roomy.look(Asked("tagging", text))
    assert roomy.store.get(second.asked.key) is None and roomy.store.get(first.asked.key) is not None


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"text": " \n"}, "the text is empty"),
        ({"text": "x" * 70_000}, "text: expected at most 65536 characters, got 70000"),
        ({"text": "x", "beam": 17}, "beam: expected a number from 1 to 16, got 17"),
        ({"text": "x", "tokens": -1}, "tokens: expected a number from 0 to 512, got -1"),
    ],
)
def test_a_request_out_of_bounds_is_refused(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Asked("model", **wrong)


def test_points_are_the_principal_components(seen: dict[str, Seen]) -> None:
    found = points(seen["translation"])
    assert set(found.sides) == {"source", "fed"} and len(found.places) == len(found.labels)
    assert found.labels[found.sides.index("fed")] == "<s>"
    ones = [place for place, label in zip(found.places, found.labels, strict=True) if label == "1"]
    np.testing.assert_allclose(ones[0], ones[1], atol=1e-5)  # one token, one embedding
    turned, explained = principal(torch.tensor([[3.0, 0.0, 0.0], [-3.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]))
    np.testing.assert_allclose(turned, [[3, 0], [-3, 0], [0, 1], [0, -1]], atol=1e-6)
    assert explained == pytest.approx((0.9, 0.1))
    assert points(seen["translation"], "encoder.1").places.shape == (len(seen["translation"].sides["source"]), 2)
    with pytest.raises(ConfigurationError, match="station: expected one of tokens"):
        points(seen["translation"], "nowhere")


def test_positions_are_asked_of_the_model(loaded: dict[str, Loaded]) -> None:
    translator, writer = loaded["translation"].predictor, loaded["language-model"].predictor
    added = pictures(translator.model, translator.config)
    assert {each.kind for each in added} == {"added"} and len(added) == 2
    place = 5.0
    assert added[0].values[5, :2] == pytest.approx([np.sin(place), np.cos(place)], abs=1e-6)  # section 3.5
    (turned,) = pictures(writer.model, writer.config)
    assert turned.kind == "turn"
    planes = writer.config.head_width // 2
    angles = 7.0 * 10000.0 ** (-2.0 * np.arange(planes) / writer.config.head_width)
    np.testing.assert_allclose(turned.values[7], np.cos(angles), atol=1e-6)


def test_the_history_is_what_was_recorded(loaded: dict[str, Loaded], tmp_path: Path) -> None:
    found = {each.name: each for each in history(RunFolder(loaded["translation"].run).metrics_file)}
    assert found["training.nll"].updates == [2, 4, 6]
    assert found["validation.loss"].updates == [3, 6]
    assert {name for name in found if name.startswith("score.")}
    torn = tmp_path / "metrics.jsonl"
    torn.write_text('{"event": "progressed", "update": 1, "nll": "nan", "loss": 2}\n{"event": "progr', encoding="utf-8")
    assert {each.name: each.values for each in history(torn)}["training.nll"] == [None]
    assert history(tmp_path / "none.jsonl") == []
