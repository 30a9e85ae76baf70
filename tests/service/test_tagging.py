"""What a tagging run keeps: exact resuming with words taken for unknown, its files, and data that has changed."""

from __future__ import annotations

import itertools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from clearhead.errors import RunError
from clearhead.recipes.read import read_recipe
from clearhead.service.load import load
from clearhead.service.train import train

from .toy_tags import write_toy_tags

QUICK = ["training.updates=12", "training.validate_every=6", "training.checkpoint_every=3", "training.log_every=1"]
CHANCE = ["model.token_dropout=0.5", "model.dropout=0.3"]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_tags(tmp_path_factory.mktemp("tags"))


@pytest.fixture(scope="module")
def run(toy: Path) -> Path:
    list(train(read_recipe(toy, QUICK), toy.parent / "run"))
    return toy.parent / "run"


def test_resumed_equals_never_stopped(toy: Path, tmp_path: Path) -> None:
    recipe = read_recipe(toy, [*QUICK, *CHANCE])
    whole = list(train(recipe, tmp_path / "whole"))
    events = train(recipe, tmp_path / "halves")
    list(itertools.takewhile(lambda event: event.kind != "progressed" or event.update < 8, events))
    events.close()
    rest = list(train(recipe, tmp_path / "halves", resume=True))
    losses = {event.update: event.loss for event in whole if event.kind == "progressed"}
    resumed = {event.update: event.loss for event in rest if event.kind == "progressed"}
    assert resumed and resumed.items() <= losses.items()
    one, other = (json.loads((tmp_path / name / "config.json").read_text()) for name in ("whole", "halves"))
    assert one["weights_sha256"] == other["weights_sha256"]


def test_chance_is_drawn_while_training_only(toy: Path, tmp_path: Path) -> None:
    list(train(read_recipe(toy, [*QUICK, *CHANCE]), tmp_path / "run"))
    model = load(tmp_path / "run")
    one, other = (model.predict([["twenty", "one", "cats"]])[0].as_dict() for _ in range(2))
    assert one == other


def test_resume_refuses_changed_data_and_names_the_file(tmp_path: Path) -> None:
    toy = write_toy_tags(tmp_path / "data")
    recipe = read_recipe(toy, QUICK)
    list(train(recipe, tmp_path / "run"))
    with (tmp_path / "data" / "train.tsv").open("a") as file:
        file.write("\ncats\tO\n")
    with pytest.raises(RunError, match=r"train\.tsv is not the file this run was begun with"):
        list(train(recipe, tmp_path / "run", resume=True))


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("tags.json", lambda text: text.replace('"B-N",', ""), "3 tags, but by the files in tokenizer/"),
        ("tags.json", lambda text: text.replace('"seen"', '"scene"'), "expected 'seen' to be a list of strings"),
        ("words.json", lambda text: text.replace('"cats"', '"cats", "dogs"'), "do they belong to another run"),
        ("words.json", lambda _: "{", "is not a readable vocabulary file"),
    ],
)
def test_damaged_files_of_a_run_are_named(
    run: Path, name: str, change: Callable[[str], str], said: str, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    path = copy / "tokenizer" / name
    text = path.read_text(encoding="utf-8")
    assert change(text) != text
    path.write_text(change(text), encoding="utf-8")
    with pytest.raises(RunError) as caught:
        load(copy)
    assert said in str(caught.value)


def test_logits_and_states_have_the_shapes_of_the_contract(run: Path) -> None:
    tagger, ids = load(run), torch.tensor([[4, 5, 6]])
    assert tagger.config.ngram_buckets > 0
    assert tagger.logits(ids).shape == (1, 3, len(tagger.task.names))
    assert tagger.states(ids).shape == (1, 3, 32)
