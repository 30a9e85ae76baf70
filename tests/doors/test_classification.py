"""Classification through the doors: train, predict, evaluate, look; and input that is broken, one sentence each."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..service.toy_labels import FRUIT, write_toy_labels
from .conftest import Clearhead
from .test_train import refusal

SHORT = ["--set", "training.updates=4", "--set", "training.warmup=2"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_labels(tmp_path_factory.mktemp("labels"))


@pytest.fixture(scope="module")
def run(recipe: Path, clearhead: Clearhead) -> Path:
    """A run trained through the door; not to be changed."""
    result = clearhead("train", recipe, "--out", recipe.parent / "run")
    assert result.exit_code == 0, result.stderr
    assert "240 texts" in result.stderr and "texts/s" in result.stderr and "accuracy" in result.stderr
    return recipe.parent / "run"


def test_lines_in_labels_out(clearhead: Clearhead, run: Path) -> None:
    result = clearhead("predict", run, stdin="that plum\n\nsome pear\n")
    assert (result.exit_code, result.stdout, result.stderr) == (0, "plum\n\npear\n", "")


def test_json_has_every_probability(clearhead: Clearhead, run: Path) -> None:
    answer = json.loads(clearhead("predict", run, "--json", stdin="that plum\n").stdout)
    assert set(answer) == {"input", "text", "label", "labels", "probabilities", "truncated"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-5)
    assert next(iter(answer["probabilities"])) == answer["label"] == "plum"


def test_a_cut_text_is_told(clearhead: Clearhead, run: Path) -> None:
    result = clearhead("predict", run, stdin="plum " * 40 + "\n")
    assert "1 input was longer than the model's 11 pieces and lost the end" in result.stderr


def test_an_option_of_other_tasks_is_refused(clearhead: Clearhead, run: Path) -> None:
    result = clearhead("predict", run, "--beam", 3, stdin="x\n")
    assert result.exit_code == 1 and "'beam' is no option of a classification" in result.stderr


def test_evaluate_prints_scores_and_labels(clearhead: Clearhead, run: Path) -> None:
    lines = [line.split("\t") for line in clearhead("evaluate", run, "--by-label").stdout.split("\n")[:-1]]
    assert [line[0] for line in lines] == ["accuracy", "macro_f1", "micro_f1", "label", *FRUIT]
    found = json.loads(clearhead("evaluate", run, "--json").stdout)
    assert found["texts"] == 40 and set(found["labels"]) == set(FRUIT) and "confusions" in found


def test_evaluate_draws_what_is_confused(clearhead: Clearhead, run: Path, finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert clearhead("evaluate", run, "--png", tmp_path / "a.png").exit_code == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    result = clearhead("evaluate", finished, "--png", tmp_path / "b.png")
    assert result.exit_code == 1 and "is about classification" in result.stderr
    assert "of which this run's task has none" in clearhead("evaluate", finished, "--by-label").stderr


def test_look_shows_the_text_looking_at_itself(clearhead: Clearhead, run: Path) -> None:
    result = clearhead("look", run, "that plum", "--text")
    assert result.exit_code == 0 and "plum" in result.stdout


def test_account_and_verify_know_it(clearhead: Clearhead, run: Path, recipe: Path) -> None:
    assert clearhead("account", run).exit_code == clearhead("account", recipe).exit_code == 0
    assert "pooling" in clearhead("account", run, "--json").stdout


def broken(tmp_path: Path, split: str, row: str) -> Path:
    """The toy's recipe with one row more at the end of a table; it stands in line 242 of the training data."""
    recipe = write_toy_labels(tmp_path)
    with (tmp_path / f"{split}.csv").open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    return recipe


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("only one", "train.csv:242: a wrong number of columns (expected 2 as in the first line, got 1)"),
        ("text,", "train.csv:242: a missing label (expected exactly one, got 0)"),
        ('"text,plum', "train.csv:242: broken CSV"),
    ],
)
def test_a_broken_row_is_refused_with_its_line(clearhead: Clearhead, tmp_path: Path, row: str, said: str) -> None:
    assert said in refusal(clearhead("train", broken(tmp_path, "train", row), "--out", tmp_path / "run"))


def test_a_missing_column_is_named_with_the_nearest(clearhead: Clearhead, recipe: Path, tmp_path: Path) -> None:
    words = ["--out", tmp_path / "run", "--set", "data.train.label=abaut"]
    assert "has no column 'abaut' (did you mean 'about'?)" in refusal(clearhead("train", recipe, *words))


def test_an_empty_text_is_dropped_and_counted_in_training(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = broken(tmp_path, "train", '"  ",plum')
    result = clearhead("train", recipe, "--out", tmp_path / "run", *SHORT)
    assert result.exit_code == 0 and "240 texts · 1 dropped: a blank text" in result.stderr
    words = ["--out", tmp_path / "other", "--set", "data.empty=refuse"]
    assert "train.csv:242: the text is blank" in refusal(clearhead("train", recipe, *words))


def test_a_class_with_one_example_is_noted_and_trained(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = broken(tmp_path, "train", "a quince,quince")
    result = clearhead("train", recipe, "--out", tmp_path / "run", *SHORT, "--set", "data.valid={share=0.2}")
    assert result.exit_code == 0 and "1 × a label with a single text" in result.stderr
    assert json.loads((tmp_path / "run" / "report.json").read_text())["data"]["labels"]["quince"] == 1


def test_a_label_that_training_never_saw_counts_as_a_mistake_and_is_told(
    clearhead: Clearhead, run: Path, tmp_path: Path
) -> None:
    (tmp_path / "new.csv").write_text("text,about\nplum,plum\nplum,quince\n")
    found = json.loads(clearhead("evaluate", run, "--data", tmp_path / "new.csv", "--json").stdout)
    assert (found["scores"]["accuracy"], found["unseen"], found["unseen_labels"]) == (50.0, 1, {"quince": 1})
    (tmp_path / "all.csv").write_text("text,about\nplum,quince\n")
    result = clearhead("evaluate", run, "--data", tmp_path / "all.csv")
    assert result.exit_code == 1 and "training has seen none of the labels" in result.stderr


def test_one_label_for_all_texts_leaves_nothing_to_learn(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = write_toy_labels(tmp_path)
    (tmp_path / "train.csv").write_text("text,about\na,x\nb,x\n")
    assert "expected at least two labels" in refusal(clearhead("train", recipe, "--out", tmp_path / "run"))


def test_a_row_without_a_label_is_valid_where_any_number_is(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = write_toy_labels(tmp_path, sets=True)
    (tmp_path / "test.csv").write_text("text,about\nsome nice,\nplum,plum\n")
    result = clearhead("train", recipe, "--out", tmp_path / "run")
    assert result.exit_code == 0
    assert json.loads((tmp_path / "run" / "report.json").read_text())["scores"]["test"]["exact_match"] == 100.0


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("data.valid={}", "data.valid: expected the file of the validation data, or the share"),
        ("model.pooling=none", 'needs "mean", "first", "first_tanh" or "attention", got "none"'),
        ("model.pooling=men", "model.pooling: expected one of"),
        ("model.normalizer=softmaxx", "model.normalizer: expected one of"),
        ("training.watch=acuracy", "got 'acuracy' (did you mean 'accuracy'?)"),
        ("weights.kind=given", "belong together"),
        ("data.max_length=5000", "data.max_length = 5000 lets longer texts in"),
        ("prediction.threshold=0.5", "unknown key prediction"),
        ("model.architecture=decoder", 'the task classification needs "encoder", got architecture = "decoder"'),
    ],
)
def test_what_cannot_work_is_said_before_training(
    clearhead: Clearhead, recipe: Path, tmp_path: Path, setting: str, said: str
) -> None:
    assert said in refusal(clearhead("train", recipe, "--out", tmp_path / "run", "--set", setting))


def test_thresholds_cannot_be_tuned_without_validation_data(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = write_toy_labels(tmp_path, sets=True)
    text = recipe.read_text().replace('valid = { file = "valid.csv", label = "about" }\n', "")
    recipe.write_text(text)
    assert "are tuned on validation data" in refusal(clearhead("train", recipe, "--out", tmp_path / "run"))
