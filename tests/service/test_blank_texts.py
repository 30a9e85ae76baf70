"""Held-out texts that are blank: heads are weighed and recorded by the other texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from clearhead.errors import ConfigurationError
from clearhead.recipes.read import read_recipe
from clearhead.service.head_importance import head_importance
from clearhead.service.head_looks import looks_of
from clearhead.service.load import load
from clearhead.service.recording import read_recording
from clearhead.service.train import train
from clearhead.service.trials.table import trial_by_hand

from .toy_labels import write_toy_labels

QUICK = ["training.updates=4", "training.warmup=2", "training.validate_every=4", "training.average=1"]


@pytest.fixture(scope="module", params=[False, True], ids=["one label", "sets"])
def blank(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recorded run whose first validation text is blank."""
    recipe = write_toy_labels(tmp_path_factory.mktemp("blank"), sets=request.param)
    table = recipe.parent / "valid.csv"
    head, first, *rest = table.read_text(encoding="utf-8").splitlines()
    lines = [head, "  ," + first.rpartition(",")[2], first, *rest]
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    list(train(read_recipe(recipe, [*QUICK, "recording.examples=2"]), recipe.parent / "run"))
    return recipe.parent / "run"


def test_a_run_is_recorded_over_them(blank: Path) -> None:
    (frame,) = read_recording(blank).frames
    assert len(frame.sentences) == 2 and all(sentence.source for sentence in frame.sentences)


def test_heads_are_weighed_over_them(blank: Path) -> None:
    report = head_importance(blank, samples=5)
    assert report.count == 41 and all(np.isfinite(head.entropy) for head in report.heads)


def test_they_change_no_look_and_alone_there_is_nothing_to_look_at(blank: Path) -> None:
    predictor = load(blank, device="cpu")
    trials = [trial_by_hand(predictor, [*blanks, ("red plum", ["plum"])]) for blanks in ([], [(" ", ["plum"])])]
    one, other = (looks_of(predictor.model, trial, trial.rows()) for trial in trials)
    assert one == other and one
    with pytest.raises(ConfigurationError, match="examples: expected something to read in the first 1 texts"):
        head_importance(predictor, [(" ", ["plum"])], samples=5)
