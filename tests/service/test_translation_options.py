"""A translation whose recipe splits its pairs, samples on schedule and scores Chinese: all of it from the recipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clearhead.errors import ConfigurationError
from clearhead.recipes.read import read_recipe
from clearhead.service.evaluate import evaluate_run
from clearhead.service.train import train
from clearhead.training.events import Finished

from .toy import write_toy

OPTIONS = [
    'data.train={file = "pairs.tsv", header = false, source = "1", target = "2"}',
    "data.split={valid = 0.1, test = 0.1}",
    'scheduled_sampling={schedule = "linear", k = 20.0, truth = 0.5, begin = 5}',
    'scoring.bleu_tokenizer="zh"',
    "training.updates=30",
    "training.validate_every=15",
    "training.warmup=5",
    'training.watch="bleu"',
]


def pairs_recipe(folder: Path) -> Path:
    path = write_toy(folder)
    sides = [(folder / f"train.{side}").read_text().split("\n")[:200] for side in ("src", "tgt")]
    (folder / "pairs.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in zip(*sides, strict=True)))
    table = path.read_text()
    for line in ("train", "valid", "test"):
        table = table.replace(next(row for row in table.split("\n") if row.startswith(f"{line} = ")), "")
    path.write_text(table)
    return path


def test_split_schedule_and_tokenizer_come_from_the_recipe(tmp_path: Path) -> None:
    recipe = read_recipe(pairs_recipe(tmp_path / "toy"), OPTIONS)
    first = list(train(recipe, tmp_path / "run"))
    assert isinstance(first[-1], Finished)
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    split = report["data"]["split"]
    assert report["scores"]["test"]["pairs"] == split["test"]["pairs"] > 0
    assert sum(part["pairs"] for part in split.values()) == 200
    assert "tok:zh" in report["scores"]["valid"]["bleu_signature"]
    assert report["scheduled_sampling"]["truth"] == 0.5
    assert evaluate_run(tmp_path / "run").as_dict()["pairs"] == split["test"]["pairs"]
    plain = list(train(read_recipe(tmp_path / "toy" / "toy.toml", OPTIONS[:2] + OPTIONS[3:]), tmp_path / "plain"))
    assert isinstance(plain[-1], Finished) and plain[-1].sha256 != first[-1].sha256


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ('scheduled_sampling.schedule="sigmoid"', "'inverse_sigmoid'"),
        ("scheduled_sampling={truth = 0.5}", "needs k, which says how it falls"),
        ('scoring.bleu_tokenizer="zhh"', "'zh'"),
        ("data.split.valid=2.0", "data.split.valid"),
    ],
)
def test_impossible_options_are_refused(override: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_recipe(write_toy(tmp_path), [override])
    assert said in str(caught.value)
