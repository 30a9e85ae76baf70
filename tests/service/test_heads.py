"""What heads are worth, and runs without some of them: numbers compared with those that evaluation gives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import clearhead
from clearhead.errors import ConfigurationError, RunError
from clearhead.inspection.seams import seams
from clearhead.recipes.read import read_recipe
from clearhead.service.account import costs
from clearhead.service.bootstrap import Interval
from clearhead.service.evaluate import evaluate_run
from clearhead.service.head_file import HEADS, read_heads, write_heads
from clearhead.service.head_importance import HeadWorth, Question, Weighing, head_importance, trial_of_run
from clearhead.service.load import load
from clearhead.service.prune import by_attention, chosen_heads, prune_heads, prune_run
from clearhead.service.run_folder import RunFolder
from clearhead.service.train import train
from clearhead.service.verify import verify

PAIRS = [("1 2", "eins zwei"), ("7", "sieben"), ("3 3 9", "drei drei neun"), ("0 5", "null fünf")]


def files(run: Path) -> list[Path]:
    folder = Path(read_recipe(run / "recipe.toml").as_table()["data"]["folder"])
    return [folder / "valid.src", folder / "valid.tgt"]


def test_every_head_is_scored_as_evaluation_scores_the_model_without_it(finished: Path) -> None:
    report = head_importance(finished, samples=200, slopes=True)
    valid = evaluate_run(finished, files(finished)).scored
    assert (report.metric, report.higher_is_better, report.data, report.count) == ("loss", False, "valid", 40)
    assert report.intact.value == pytest.approx(valid.loss, abs=1e-6)
    assert report.intact.low < report.intact.value < report.intact.high
    predictor = load(finished)
    places = {name: seam.heads for name, seam in seams(predictor.model).items()}
    assert [(head.name, head.head) for head in report.heads] == [
        (n, h) for n, count in places.items() for h in range(count)
    ]
    for head in report.heads[::9]:
        without = load(finished, device="cpu")
        rows = seams(without.model)[head.name].output.weight.data.chunk(4, dim=1)[head.head]
        rows.zero_()
        trial = trial_of_run(finished, without)
        numbers = trial.metrics["loss"].measure(trial.rows())
        assert head.score == pytest.approx(float(trial.metrics["loss"].score(numbers.sum(0))), abs=1e-5)
    for head in report.heads:
        assert head.worth == head.difference.value == pytest.approx(head.score - report.intact.value)
        assert head.difference.low <= head.difference.high
        assert head.entropy >= 0 and head.distance >= 0 and 0 < head.peak <= 1 and head.slope is not None
    assert [head.worth for head in report.ranked()] == sorted(head.worth for head in report.heads)
    slopes, worths = np.array([[head.slope, abs(head.worth)] for head in report.heads], dtype=float).T
    assert np.corrcoef(slopes.argsort().argsort(), worths.argsort().argsort())[0, 1] > 0.3


def test_where_higher_is_better_worth_turns_round_and_examples_may_be_given(finished: Path) -> None:
    predictor = load(finished)
    report = head_importance(predictor, PAIRS, metric="exact_match", samples=20)
    assert report.data == "examples" and report.count == 4
    for head in report.heads:
        assert head.worth == pytest.approx(report.intact.value - head.score) == pytest.approx(-head.difference.value)
    assert json.loads(json.dumps(report.as_dict()))["heads"][0]["worth"] == report.ranked()[0].worth
    assert not predictor.model.training


def test_a_head_that_always_says_the_same_is_worth_nothing_but_its_mean(finished: Path) -> None:
    predictor: Any = load(finished, device="cpu")
    attention = predictor.model.encoder.blocks[1].self_attention
    with torch.no_grad():  # head 2 reads nothing, and its values are their bias
        rows = attention.query_key_value.weight.view(3, 4, 8, 32)[2, 2]
        rows.zero_()
        attention.query_key_value.bias.view(3, 4, 8)[2, 2] = 3.0
    zero, mean = (
        head_importance(predictor, PAIRS, replace=replace, samples=10).heads[4 + 2] for replace in ("zero", "mean")
    )
    assert (zero.name, zero.head) == ("encoder.1.self", 2)
    assert abs(zero.worth) > 1e-3
    assert mean.worth == pytest.approx(0.0, abs=1e-5)


def test_what_heads_are_worth_is_kept_for_these_weights_alone(run: Path) -> None:
    assert read_heads(run) is None
    predictor = load(run)
    weighing = Weighing(predictor.model, trial_of_run(run, predictor), Question(samples=20, examples=3))
    worths = list(weighing.heads())
    endless = Interval(1.0, 0.5, float("inf"))
    worths[5] = replace(worths[5], difference=endless, worth=float("nan"), slope=0.25)
    report = weighing.report(worths, list(weighing.curve(worths, 2)))
    folder = RunFolder(run)
    digest = folder.card().weights_sha256
    assert write_heads(run, report, digest) == run / HEADS
    kept = read_heads(run)
    assert kept is not None
    assert repr(kept) == repr(replace(report, heads=tuple(report.ranked()))).replace("inf", "nan")
    table = json.loads((run / HEADS).read_text(encoding="utf-8"))
    plain = json.loads(json.dumps(report.as_dict()))
    assert set(table) == set(plain) | {"format", "unit", "weights_sha256"}
    assert table["unit"] == "pairs" and table["pairs"] == 3
    write_heads(run, report, "0" * 64)  # as after more training
    assert read_heads(run) is None
    for damage in ({"heads": [{"name": "a"}]}, {"intact": 3}, {"format": "x"}, {"unit": "rows"}, {"heads": [1]}):
        (run / HEADS).write_text(json.dumps(table | damage), encoding="utf-8")
        with pytest.raises(RunError, match=r"heads\.json is damaged: expected what clearhead heads writes"):
            read_heads(run)


def test_fewer_examples_are_a_choice_by_the_seed(finished: Path) -> None:
    reports = [head_importance(finished, examples=5, seed=seed, samples=10).intact.value for seed in (1, 1, 2)]
    assert reports[0] == reports[1] != reports[2]


def test_what_cannot_be_weighed_is_refused(finished: Path) -> None:
    predictor = load(finished)
    with pytest.raises(ConfigurationError, match="a loaded model does not know its run's validation set"):
        head_importance(predictor)
    with pytest.raises(ConfigurationError, match="replace: expected zero or mean, got 'one'"):
        head_importance(finished, replace="one")
    with pytest.raises(ConfigurationError, match="metric: expected one of loss, bleu, exact_match, got 'f1'"):
        head_importance(finished, metric="f1")


def worth(name: str, head: int, value: float) -> HeadWorth:
    return HeadWorth(name, head, 0.0, Interval(value, value, value), value, 0.0, 0.0, 0.0)


def test_the_least_important_go_but_each_attention_keeps_one() -> None:
    worths = [worth("a", 0, 0.1), worth("a", 1, 0.2), worth("b", 0, 0.9), worth("b", 1, 0.8), worth("b", 2, 0.3)]
    assert by_attention(chosen_heads(worths, 3)) == {"a": [0], "b": [2, 1]}
    assert chosen_heads(worths, 0) == []
    with pytest.raises(ConfigurationError, match="expected 0 to 3 heads to prune, as each attention keeps one, got 4"):
        chosen_heads(worths, 4)


def test_a_pruned_run_is_a_run_that_scores_as_the_curve_said(finished: Path, tmp_path: Path) -> None:
    predictor = load(finished)
    weighing = Weighing(predictor.model, trial_of_run(finished, predictor), Question(samples=20))
    gone = chosen_heads(list(weighing.heads()), 5)
    curve = list(weighing.curve(gone, 5))
    assert [(step.removed, step.name, step.head) for step in curve] == [
        (number, head.name, head.head) for number, head in enumerate(gone, start=1)
    ]
    assert curve[0].score == pytest.approx(gone[0].score, abs=1e-6)
    heads, out = by_attention(gone), tmp_path / "pruned"
    prune_run(finished, heads, out)
    found = evaluate_run(out, files(finished)).scored
    assert found.loss == pytest.approx(curve[-1].score, abs=1e-5)
    smaller = load(out)
    with clearhead.without_heads(predictor, heads):
        assert [str(x) for x in predictor.predict(["1 2 3", "9"])] == [str(x) for x in smaller.predict(["1 2 3", "9"])]
    assert all(check.holds for check in verify(smaller))
    assert costs(str(out)).account.total == sum(x.numel() for x in smaller.model.parameters())
    left = {path.name for path in out.iterdir()}
    assert left == {"recipe.toml", "config.json", "model.safetensors", "tokenizer", "report.json"}
    assert RunFolder.open(out).recipe().model.kept_heads == smaller.config.kept_heads
    assert RunFolder.open(out).report()["pruned"] == {"from": "run", "heads": heads}
    with pytest.raises(RunError, match="is not empty"):
        prune_run(finished, heads, out)


def test_the_recipe_of_a_pruned_run_trains_the_smaller_model(finished: Path, tmp_path: Path) -> None:
    prune_run(finished, {"decoder.0.cross": [0, 2], "encoder.1.self": [3]}, tmp_path / "pruned")
    recipe = read_recipe(tmp_path / "pruned" / "recipe.toml", ["training.updates=4", "training.warmup=1"])
    list(train(recipe, tmp_path / "again"))
    pruned, again = load(tmp_path / "pruned"), load(tmp_path / "again")
    assert again.config == pruned.config
    assert {name: seam.heads for name, seam in seams(again.model).items()}["decoder.0.cross"] == 2


def test_a_predictor_is_pruned_with_its_face_and_a_network_alone(finished: Path) -> None:
    predictor = load(finished)
    smaller = prune_heads(predictor, {"decoder.1.self": [1]})
    assert type(smaller) is type(predictor) and smaller.config.kept_heads == {"decoder.1.self": [0, 2, 3]}
    network = prune_heads(predictor.model, {"decoder.1.self": [1]})
    for one, other in zip(network.parameters(), smaller.model.parameters(), strict=True):
        assert torch.equal(one, other)
