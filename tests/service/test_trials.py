"""Examples scored one by one add up to what the task's own evaluation says, whatever the task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.recipes.read import read_recipe
from clearhead.service.evaluate import evaluate_run, held_out_of
from clearhead.service.load import load
from clearhead.service.train import train
from clearhead.service.trials.table import trial_by_hand, trial_of
from clearhead.service.trials.trial import Trial

from .toy import write_toy
from .toy_labels import write_toy_labels
from .toy_tags import write_toy_tags
from .verse import write_verse

QUICK = ["training.updates=9", "training.warmup=2", "training.validate_every=9", "training.average=1"]
VECTORS = """
task = "vector-tagging"
seed = 2

[data]
train = { file = "train.npz", vectors = "vectors", labels = "labels" }
valid = { file = "valid.npz", vectors = "vectors", labels = "labels" }

[model]
width = 12
encoder_layers = 1
heads = 2
feedforward = 13
dropout = 0.0
"""


def write_vectors(folder: Path) -> Path:
    """Vectors whose label is the place of the largest of their three numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(1)
    for name, count in (("train", 50), ("valid", 11)):
        vectors = chance.normal(size=(count, 5, 3)).astype(np.float32)
        np.savez(folder / f"{name}.npz", vectors=vectors, labels=vectors.argmax(-1))
    (folder / "toy.toml").write_text(VECTORS, encoding="utf-8")
    return folder / "toy.toml"


@dataclass(frozen=True)
class Case:
    """How a toy is written, what is to be compared, and how its model answers while it is."""

    write: Callable[[Path], Path]
    metrics: tuple[str, ...]
    changes: tuple[str, ...] = ()
    options: dict[str, Any] | None = None


CASES = {
    "translation": Case(write_toy, ("loss", "bleu", "exact_match"), options={"beam": 1}),
    "tagging": Case(write_toy_tags, ("accuracy", "loss")),
    "tagging in pieces": Case(
        write_toy_tags, ("accuracy", "loss"), ("data.max_length=5", 'input={kind="pieces"}', "tokenizer.kind=bpe")
    ),
    "classification": Case(write_toy_labels, ("accuracy", "loss")),
    "multilabel": Case(lambda folder: write_toy_labels(folder, sets=True), ("micro_f1", "loss")),
    "language model": Case(write_verse, ("loss", "perplexity")),
    "vectors": Case(write_vectors, ("accuracy", "loss")),
}


@pytest.fixture(scope="module", params=CASES)
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Case, Path]:
    case = CASES[request.param]
    recipe = case.write(tmp_path_factory.mktemp("tried"))
    list(train(read_recipe(recipe, [*QUICK, *case.changes]), recipe.parent / "run"))
    return case, recipe.parent / "run"


def test_all_examples_together_score_as_the_task_does(tried: tuple[Case, Path]) -> None:
    case, run = tried
    predictor = load(run, device="cpu")
    trial = trial_of(predictor, held_out_of(run, (), ("valid",)))
    assert list(trial.metrics)[: len(case.metrics)] == list(case.metrics)
    scored = evaluate_run_on_valid(run, case)
    for name in case.metrics:
        metric = trial.metrics[name]
        numbers = metric.measure(trial.rows())
        assert numbers.shape[0] == trial.count
        assert float(metric.score(numbers.sum(0))) == pytest.approx(scored[name], abs=1e-5)
        some = np.array([3, 1, 4])
        np.testing.assert_allclose(metric.measure(some), numbers[some], rtol=1e-5, atol=1e-5)


def evaluate_run_on_valid(run: Path, case: Case) -> dict[str, float]:
    recipe = read_recipe(run / "recipe.toml").as_table()
    data, folder = recipe["data"], Path(recipe["data"]["folder"])
    valid = data.get("valid")
    if valid is None:  # a part of the training text
        found = evaluate_run(run, (), case.options)  # there is no test set, so it is the validation set
    else:
        names = (
            [valid]
            if isinstance(valid, str)
            else [valid["file"]]
            if valid.get("file")
            else [valid["source"], valid["target"]]
        )
        found = evaluate_run(run, [folder / name for name in names], case.options)
    return {"loss": found.scored.loss, **found.scored.scores}


def test_losses_carry_a_gradient_and_looking_shows_the_example(tried: tuple[Case, Path]) -> None:
    _, run = tried
    predictor = load(run, device="cpu")
    trial = trial_of(predictor, held_out_of(run, (), ("valid",)))
    for part in trial.losses(np.array([0, 2])):
        part.nll.sum().backward()
    assert any(parameter.grad is not None for parameter in predictor.model.parameters())
    assert trial.look(2).attentions


def test_a_choice_of_examples_is_the_seeds(tried: tuple[Case, Path]) -> None:
    _, run = tried
    trial = trial_of(load(run, device="cpu"), held_out_of(run, (), ("valid",)))
    assert (
        trial.rows(3, seed=5).tolist() == trial.rows(3, seed=5).tolist() == sorted(set(trial.rows(3, seed=5).tolist()))
    )
    assert len(trial.rows(10_000)) == trial.count
    with pytest.raises(ConfigurationError, match="examples: expected a number from 1 on, got 0"):
        trial.rows(0)
    with pytest.raises(ConfigurationError, match=r"metric: expected one of .*, got 'los' \(did you mean 'loss'\?\)"):
        trial.metric("los")


BY_HAND: dict[str, list[Any]] = {
    "translation": [("1 2", "eins zwei"), ("3", "vier")],
    "tagging": [(["twenty", "one"], ["B-N", "I-N"]), (["cats"], ["B-N"])],
    "classification": [("red plum", "plum"), ("old pear", ["apple"]), ("  ", "pear")],
    "multilabel": [("red plum", ["plum", "pear"]), ("nothing", []), ("  ", ["pear"])],
    "language model": ["two households, both alike", "in fair verona"],
    "vectors": [(np.eye(3), ["0", "1", "2"]), (torch.eye(3)[:1].numpy(), ["1"])],
}


def test_examples_may_be_given_by_hand(tried: tuple[Case, Path], request: pytest.FixtureRequest) -> None:
    _, run = tried
    name = request.node.callspec.params["tried"]
    predictor: Any = load(run, device="cpu")
    examples = BY_HAND[name.removesuffix(" in pieces")]
    trial: Trial = trial_by_hand(predictor, examples)
    numbers = trial.metrics["loss"].measure(trial.rows())
    assert trial.name == "examples" and np.isfinite(numbers).all() and numbers.sum() > 0
    with pytest.raises(ConfigurationError, match="data: expected at least one example, got none"):
        trial_by_hand(predictor, [])
    with pytest.raises(ConfigurationError, match=r"data: expected .*example 1 is"):
        trial_by_hand(predictor, [3])


WRONG: dict[str, list[tuple[Any, str]]] = {
    "tagging": [
        (("ab", ["B-N", "I-N"]), "a list of words in each, as text, but example 1 has 'ab'"),
        ((["a"], "B-N"), "a list of tags in each, as text, but example 1 has 'B-N'"),
        (([3], ["B-N"]), r"a list of words in each, as text, but example 1 has \[3\]"),
    ],
    "classification": [
        (("red plum", 3), "a label or a list of labels in each, as text, but example 1 has 3"),
        (("red plum", [3]), r"a label or a list of labels in each, as text, but example 1 has \[3\]"),
        ((3, "plum"), "texts, but example 1 is a int"),
    ],
    "vectors": [((np.eye(3), [0, 1, 2]), "a label or a list of labels in each, as text, but example 1 has")],
}


def test_what_is_no_example_of_the_task_is_refused(tried: tuple[Case, Path], request: pytest.FixtureRequest) -> None:
    """A string of two letters is no list of two words, and a number is no label's name."""
    predictor: Any = load(tried[1], device="cpu")
    for example, reason in WRONG.get(request.node.callspec.params["tried"], []):
        with pytest.raises(ConfigurationError, match=f"data: expected {reason}"):
            trial_by_hand(predictor, [example])


def test_accuracy_by_hand() -> None:
    """Two of three labels right: 66.7 %; drawn twice from the first example, 100 %."""
    from clearhead.service.trials.trial import micro_f1, percent

    numbers = np.array([[2.0, 2.0], [0.0, 1.0]])
    assert percent(numbers.sum(0)) == pytest.approx(200 / 3)
    assert percent(2 * numbers[0]) == 100.0
    assert micro_f1(np.array([[3.0, 4.0, 5.0], [0.0, 0.0, 0.0]])).tolist() == [pytest.approx(600 / 9), 0.0]
