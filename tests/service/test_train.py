"""From a recipe to a finished run folder: what is in it, what is refused, what survives an interruption."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clearhead.errors import ConfigurationError, DataError, RunError
from clearhead.recipes.read import read_recipe
from clearhead.service.events import Scored
from clearhead.service.load import load
from clearhead.service.train import train
from clearhead.training import events

from .toy import translate, write_lines, write_toy

QUICK = ["training.updates=6", "training.warmup=2", "training.checkpoint_every=2", "training.validate_every=3"]


def test_the_run_folder_is_complete(finished: Path) -> None:
    names = {path.name for path in finished.iterdir() if not path.name.startswith(".")}
    files = {"recipe.toml", "config.json", "model.safetensors", "metrics.jsonl", "report.json"}
    assert names == files | {"tokenizer", "checkpoints", "corpus"}
    assert sorted(path.name for path in (finished / "tokenizer").iterdir()) == ["source.json", "target.json"]


def test_it_has_learnt_to_translate(finished: Path) -> None:
    answers = [answer.text for answer in load(finished).predict(["3 1", "9", "7 8"])]
    assert answers == [translate([3, 1]), translate([9]), translate([7, 8])]


def test_the_report_accounts_for_the_run(finished: Path) -> None:
    report = json.loads((finished / "report.json").read_text(encoding="utf-8"))
    assert report["scores"]["test"]["exact_match"] >= 70.0
    assert set(report["scores"]["valid"]) >= {"bleu", "chrf", "multi_bleu_lowercased", "exact_match", "loss", "pairs"}
    assert report["training"]["updates"] == 200
    assert 0.0 <= report["training"]["padding"] < 0.2
    assert report["training"]["target_tokens_per_second"] > 0
    assert report["seed"] == 5
    assert report["data"]["ledger"]["read"] == report["data"]["pairs"] == 800
    assert report["model"]["parameters"] == sum(p.numel() for p in load(finished).model.parameters())
    assert report["machine"]["cores"] >= 1
    assert set(report["software"]) >= {"python", "clearhead", "torch"}


def test_events_tell_the_story_in_order(toy: Path, tmp_path: Path) -> None:
    told = list(train(read_recipe(toy, QUICK), tmp_path / "run"))
    kinds = [event.kind for event in told if event.kind != "progressed"]
    assert kinds[:2] == ["corpus-ready", "started"]
    assert kinds[-3:] == ["scored", "scored", "finished"]
    assert [event.split for event in told if isinstance(event, Scored)] == ["valid", "test"]
    assert sum(isinstance(event, events.Validated) for event in told) == 2


def test_nothing_is_printed(toy: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    list(train(read_recipe(toy, QUICK), tmp_path / "run"))
    assert capfd.readouterr() == ("", "")


def test_training_needs_no_held_out_data(toy: Path, tmp_path: Path) -> None:
    recipe = read_recipe(toy, QUICK)
    bare = recipe.model_copy(update={"data": recipe.data.model_copy(update={"valid": None, "test": None})})
    told = list(train(bare, tmp_path / "run"))
    assert told[-1].kind == "finished"
    assert json.loads((tmp_path / "run" / "report.json").read_text())["scores"] == {}


def test_a_folder_with_something_in_it_is_left_alone(toy: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RunError, match=r"is not empty; choose another folder with --out \(nothing was changed\)"):
        train(toy, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_run_is_not_overwritten(toy: Path, run: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    with pytest.raises(RunError, match="is not empty; go on with --resume"):
        train(toy, run)
    assert (run / "model.safetensors").read_bytes() == before


def stop_after(recipe: Path, out: Path, update: int) -> None:
    """Train and abandon the run once ``update`` is saved, as a killed process would."""
    for event in train(read_recipe(recipe, QUICK), out):
        if isinstance(event, events.Saved) and event.update >= update:
            break


def test_resumed_equals_never_stopped(toy: Path, tmp_path: Path) -> None:
    list(train(read_recipe(toy, QUICK), tmp_path / "whole"))
    stop_after(toy, tmp_path / "halves", 2)
    assert not (tmp_path / "halves" / "model.safetensors").exists()
    list(train(read_recipe(toy, QUICK), tmp_path / "halves", resume=True))
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "halves")]
    assert weights[0] == weights[1]


def test_resume_goes_on_after_the_data_has_moved(toy: Path, tmp_path: Path) -> None:
    recipe = write_toy(tmp_path / "data")
    stop_after(recipe, tmp_path / "run", 2)
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    moved = read_recipe(tmp_path / "elsewhere" / "toy.toml", QUICK)
    assert list(train(moved, tmp_path / "run", resume=True))[-1].kind == "finished"


def test_resume_refuses_another_recipe_and_names_each_difference(toy: Path, tmp_path: Path) -> None:
    stop_after(toy, tmp_path / "run", 2)
    before = (tmp_path / "run" / "recipe.toml").read_bytes()
    changed = read_recipe(toy, [*QUICK, "model.width=64", "training.learning_rate=0.001"])
    with pytest.raises(RunError) as caught:
        train(changed, tmp_path / "run", resume=True)
    assert "model.width was 32 and is now 64; training.learning_rate was 0.01 and is now 0.001" in str(caught.value)
    assert (tmp_path / "run" / "recipe.toml").read_bytes() == before


def test_resume_accepts_what_changes_no_number(toy: Path, tmp_path: Path) -> None:
    stop_after(toy, tmp_path / "run", 2)
    changed = read_recipe(toy, [*QUICK, "training.log_every=1"])
    assert list(train(changed, tmp_path / "run", resume=True))[-1].kind == "finished"


def test_two_processes_do_not_share_a_folder(toy: Path, tmp_path: Path) -> None:
    first = train(read_recipe(toy, QUICK), tmp_path / "run")
    for event in first:
        if event.kind == "saved":
            break
    before = (tmp_path / "run" / "recipe.toml").read_bytes()
    with pytest.raises(RunError, match="is in use by another training process"):
        list(train(read_recipe(toy, [*QUICK, "training.log_every=1"]), tmp_path / "run", resume=True))
    assert (tmp_path / "run" / "recipe.toml").read_bytes() == before
    assert list(first)[-1].kind == "finished"


def test_resume_refuses_changed_data_and_names_the_file(tmp_path: Path) -> None:
    recipe = write_toy(tmp_path / "data")
    stop_after(recipe, tmp_path / "run", 2)
    with (tmp_path / "data" / "train.tgt").open("r+") as file:
        file.write("x")
    with pytest.raises(RunError, match=r"train\.tgt is not the file this run was begun with"):
        list(train(read_recipe(recipe, QUICK), tmp_path / "run", resume=True))


def test_resume_refuses_another_tokenizer(toy: Path, finished: Path, tmp_path: Path) -> None:
    stop_after(toy, tmp_path / "run", 2)
    shutil.copy(tmp_path / "run" / "tokenizer" / "source.json", tmp_path / "run" / "tokenizer" / "target.json")
    with pytest.raises((RunError, ConfigurationError)):
        list(train(read_recipe(toy, QUICK), tmp_path / "run", resume=True))


def test_resume_of_nothing_is_refused(toy: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder: there is no such folder"):
        train(toy, tmp_path / "none", resume=True)


def test_a_run_interrupted_before_its_first_checkpoint_can_be_resumed(toy: Path, tmp_path: Path) -> None:
    for event in train(read_recipe(toy, QUICK), tmp_path / "run"):
        if event.kind == "started":
            break
    assert list(train(read_recipe(toy, QUICK), tmp_path / "run", resume=True))[-1].kind == "finished"


def test_a_finished_run_can_be_resumed_and_stays_what_it_is(toy: Path, run: Path) -> None:
    before = (run / "model.safetensors").read_bytes()
    told = list(train(toy, run, resume=True))
    assert told[-1].kind == "finished"
    assert (run / "model.safetensors").read_bytes() == before


def test_bad_data_is_known_before_training(tmp_path: Path) -> None:
    recipe = write_toy(tmp_path)
    write_lines(tmp_path / "test.tgt", ["only one line"])
    with pytest.raises(DataError, match=r"test\.src has 40 lines, but .*test\.tgt has 1"):
        list(train(recipe, tmp_path / "run"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    recipe = write_toy(tmp_path)
    (tmp_path / "train.src").unlink()
    with pytest.raises(DataError, match=r"train\.src"):
        list(train(recipe, tmp_path / "run"))


def test_a_thread_may_train(toy: Path, tmp_path: Path) -> None:
    from threading import Thread

    told: list[events.Event] = []
    thread = Thread(target=lambda: told.extend(train(read_recipe(toy, QUICK), tmp_path / "run")))
    thread.start()
    thread.join()
    assert told[-1].kind == "finished"


def same_names(folder: Path) -> Path:
    """The toy with its two sides in two folders, under one name."""
    recipe = write_toy(folder)
    text = recipe.read_text()
    for split in ("train", "valid", "test"):
        for side in ("src", "tgt"):
            (folder / side).mkdir(exist_ok=True)
            (folder / f"{split}.{side}").rename(folder / side / f"{split}.txt")
            text = text.replace(f"{split}.{side}", f"{side}/{split}.txt")
    recipe.write_text(text)
    return recipe


def test_resume_tells_files_of_one_name_in_two_folders_apart(tmp_path: Path) -> None:
    recipe = same_names(tmp_path / "data")
    stop_after(recipe, tmp_path / "run", 2)
    assert list(train(read_recipe(recipe, QUICK), tmp_path / "run", resume=True))[-1].kind == "finished"


def test_changes_can_be_accepted_and_changed_data_is_prepared_anew(tmp_path: Path) -> None:
    recipe = write_toy(tmp_path / "data")
    stop_after(recipe, tmp_path / "run", 2)
    with (tmp_path / "data" / "train.src").open("a") as src, (tmp_path / "data" / "train.tgt").open("a") as tgt:
        src.write("4\n")
        tgt.write(f"{translate([4])}\n")
    changed = read_recipe(recipe, [*QUICK, "training.learning_rate=0.001"])
    told = list(train(changed, tmp_path / "run", resume=True, accept_changes=True))
    assert (told[0].count, told[-1].kind) == (801, "finished")
    assert read_recipe(tmp_path / "run" / "recipe.toml").training.learning_rate == 0.001
