"""From labelled texts to a finished run that classifies: what is learnt, kept, resumed, refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from clearhead.errors import ConfigurationError, DataError, RunError
from clearhead.recipes.read import read_recipe
from clearhead.service.confusion import confusion_matrix
from clearhead.service.evaluate import evaluate_run
from clearhead.service.load import load
from clearhead.service.look import look_at
from clearhead.service.train import train
from clearhead.training import events

from .toy_labels import FRUIT, write_toy_labels

QUICK = ["training.updates=6", "training.warmup=2", "training.checkpoint_every=2", "training.validate_every=3"]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of one label a text; not to be changed."""
    recipe = write_toy_labels(tmp_path_factory.mktemp("one"))
    list(train(recipe, recipe.parent / "run"))
    return recipe.parent / "run"


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of any number of labels; not to be changed."""
    recipe = write_toy_labels(tmp_path_factory.mktemp("many"), sets=True)
    list(train(read_recipe(recipe, ["prediction.thresholds=per-label"]), recipe.parent / "run"))
    return recipe.parent / "run"


def report(run: Path) -> dict[str, object]:
    return json.loads((run / "report.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def test_it_learns_one_label(one: Path) -> None:
    found = report(one)
    assert found["scores"]["test"]["accuracy"] == 100.0  # type: ignore[index]
    assert found["scores"]["test"]["texts"] == 40  # type: ignore[index]
    assert sum(found["data"]["labels"].values()) == found["data"]["texts"] == 240  # type: ignore[index]
    assert found["training"]["texts_per_second"] > 0  # type: ignore[index]
    answers = load(one).predict(["that old plum", "pear", "  "])
    assert [answer.text for answer in answers] == ["plum", "pear", ""]
    assert answers[2].as_dict()["label"] is None and answers[2].as_dict()["probabilities"] == {}
    assert set(answers[0].as_dict()["probabilities"]) == set(FRUIT)


def test_it_learns_any_number_of_labels(many: Path) -> None:
    assert report(many)["scores"]["test"]["micro_f1"] >= 99.0  # type: ignore[index]
    answers = load(many).predict(["red plum and apple", "nothing nice", ""])
    assert [set(answer.labels) for answer in answers] == [{"apple", "plum"}, set(), set()]
    assert answers[0].text in ("apple,plum", "plum,apple")


def test_tuned_thresholds_are_part_of_the_run(many: Path, tmp_path: Path) -> None:
    table = json.loads((many / "thresholds.json").read_text())
    assert set(table) == set(FRUIT)
    copy = Path(shutil.copytree(many, tmp_path / "run"))
    (copy / "thresholds.json").write_text(json.dumps(dict.fromkeys(FRUIT, 2.0)))
    assert load(copy).predict(["apple"])[0].labels == ()
    for broken in (
        '{"apple": 0.5}',
        '{"apple": 0.5, "pear": 0.5, "plum": "x"}',
        "[",
        '{"apple": 0.5, "pear": 0.5, "plum": -1.0}',
    ):
        (copy / "thresholds.json").write_text(broken)
        with pytest.raises(RunError, match=r"thresholds\.json"):
            load(copy)


def test_texts_are_answered_the_same_alone_and_in_company(one: Path) -> None:
    model, texts = load(one), ["plum", "I want some of that nice red pear", "apple " * 30]
    together = model.predict(texts)
    for text, answer in zip(texts, together, strict=True):
        (alone,) = model.predict([text])
        assert (alone.labels, alone.truncated) == (answer.labels, answer.truncated)
        assert list(alone.scores.values()) == pytest.approx(list(answer.scores.values()), abs=1e-5)
    assert together[2].truncated


def test_resumed_equals_never_stopped(tmp_path: Path) -> None:
    recipe = write_toy_labels(tmp_path / "data", sets=True)
    chosen = read_recipe(recipe, [*QUICK, "model.dropout=0.1", "model.token_dropout=0.1", "data.valid={share=0.2}"])
    list(train(chosen, tmp_path / "whole"))
    for event in train(chosen, tmp_path / "halves"):
        if isinstance(event, events.Saved):
            break
    list(train(chosen, tmp_path / "halves", resume=True))
    for name in ("model.safetensors", "thresholds.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "halves" / name).read_bytes()


def test_resume_refuses_changed_texts(tmp_path: Path) -> None:
    recipe = write_toy_labels(tmp_path / "data")
    for event in train(read_recipe(recipe, QUICK), tmp_path / "run"):
        if isinstance(event, events.Saved):
            break
    with (tmp_path / "data" / "train.csv").open("a") as file:
        file.write("one more,plum\n")
    with pytest.raises(RunError, match=r"train\.csv is not the file this run was begun with"):
        list(train(read_recipe(recipe, QUICK), tmp_path / "run", resume=True))
    told = list(train(read_recipe(recipe, QUICK), tmp_path / "run", resume=True, accept_changes=True))
    assert (told[0].count, told[-1].kind) == (241, "finished")  # type: ignore[attr-defined]


def test_a_share_is_held_out_and_declared(tmp_path: Path) -> None:
    recipe = read_recipe(write_toy_labels(tmp_path / "data"), [*QUICK, "data.valid={share=0.25}"])
    told = list(train(recipe, tmp_path / "run"))
    found = report(tmp_path / "run")
    assert found["data"]["held_out"] == {"share": 0.25, "seed": 1}  # type: ignore[index]
    held, kept = found["scores"]["valid"]["texts"], found["data"]["texts"]  # type: ignore[index]
    assert held + kept == 240 and 50 <= held <= 70
    assert told[0].dropped == {"a text held out for validation": held}  # type: ignore[attr-defined]


def test_numbers_stand_for_a_file_of_labels_even_after_it_is_gone(tmp_path: Path) -> None:
    recipe = write_toy_labels(tmp_path / "data")
    (tmp_path / "data" / "labels.txt").write_text("\n".join(FRUIT) + "\n")
    for split in ("train", "valid", "test"):
        path = tmp_path / "data" / f"{split}.csv"
        text = path.read_text()
        for number, name in enumerate(FRUIT):
            text = text.replace(f',"{name}"\n', f",{number}\n")
        path.write_text(text)
    list(train(read_recipe(recipe, [*QUICK, "data.labels=labels.txt"]), tmp_path / "run"))
    before = evaluate_run(tmp_path / "run").scored
    assert set(before.tables["labels"]) <= set(FRUIT)
    (tmp_path / "data" / "test.csv").rename(tmp_path / "test.csv")
    shutil.rmtree(tmp_path / "data")
    assert evaluate_run(tmp_path / "run", [tmp_path / "test.csv"]).scored.scores == before.scores


def test_label_weights_are_checked_before_training(tmp_path: Path) -> None:
    recipe = write_toy_labels(tmp_path / "data")
    given = ["weights.kind=given", "weights.given={aple=2.0}"]
    with pytest.raises(ConfigurationError, match=r"has the label 'aple' \(did you mean 'apple'\?\)"):
        list(train(read_recipe(recipe, [*QUICK, *given]), tmp_path / "run"))
    for kind in (["weights.kind=balanced"], ["weights.kind=given", "weights.given={apple=2.0}"]):
        assert list(train(read_recipe(recipe, [*QUICK, *kind]), tmp_path / kind[-1][:9]))[-1].kind == "finished"


def test_pieces_with_several_segmentations_train(tmp_path: Path) -> None:
    recipe = write_toy_labels(tmp_path / "data")
    text = recipe.read_text().replace("buckets = 100\nlongest = 3\n", 'kind = "pieces"\n')
    recipe.write_text(f"{text}\n[tokenizer]\nvocabulary = 290\nsubword_dropout = 0.1\nsubword_samples = 2\n")
    list(train(read_recipe(recipe, [*QUICK, "model.pooling=first"]), tmp_path / "run"))
    assert load(tmp_path / "run").predict(["plum"])[0].label in FRUIT


@pytest.mark.parametrize("pooling", ["first", "attention"])
def test_every_pooling_trains(tmp_path: Path, pooling: str) -> None:
    recipe = read_recipe(write_toy_labels(tmp_path / "data"), [*QUICK, f"model.pooling={pooling}"])
    assert list(train(recipe, tmp_path / "run"))[-1].kind == "finished"


def test_one_text_can_be_looked_at(one: Path) -> None:
    model = load(one)
    found = look_at(model, "I want that plum")
    assert found.answer == "plum"
    assert found.source == found.target == ("<s>", "I", "want", "that", "plum")
    assert found.names == ("encoder.0.self",) and found.layers[0].shape == (2, 5, 5)
    with pytest.raises(ConfigurationError, match="no target side"):
        model.inspect("a", "b")
    assert model.inspect("I want that plum", heads=[1]).weights("encoder.0.self").shape == (1, 5, 5)
    with pytest.raises(ConfigurationError, match="layers: expected numbers from 0 to 0, got 1"):
        model.inspect("I want that plum", layers=[1])


def test_logits_and_states_have_the_shapes_of_the_contract(one: Path) -> None:
    model, ids = load(one), torch.tensor([[2, 4, 5]])
    assert model.logits(ids).shape == (1, 3)
    assert model.states(ids).shape == (1, 3, 32)


@pytest.mark.parametrize("inputs", ["plum", b"plum"])
def test_one_text_is_no_list_of_texts(one: Path, inputs: str) -> None:
    with pytest.raises(ConfigurationError, match="expected a list of texts"):
        load(one).predict(inputs)


@pytest.mark.parametrize("inputs", [[3], [None], ["\ud800"]])
def test_what_is_no_text_is_refused(one: Path, inputs: list[str]) -> None:
    with pytest.raises(DataError):
        load(one).predict(inputs)


def test_the_matrix_of_confusions_adds_up(one: Path, tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text("text,about\nplum,pear\npear,pear\nplum,quince\n,apple\n")
    scored = evaluate_run(one, [tmp_path / "odd.csv"]).scored
    names, counts = confusion_matrix(scored)
    assert counts.sum() == 4
    assert counts[names.index("pear"), names.index("plum")] == counts[names.index("pear"), names.index("pear")] == 1
    assert counts[names.index("quince"), names.index("plum")] == counts[names.index("apple"), names.index("—")] == 1
    assert (scored.details["unseen"], scored.details["blank"]) == (1, 1)
    assert scored.scores["accuracy"] == 25.0
