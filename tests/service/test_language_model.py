"""A language model from recipe to continuation: trained on a text it can know by heart, scored, resumed, asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from clearhead.errors import ConfigurationError, DataError, RunError
from clearhead.recipes.read import read_recipe
from clearhead.service.evaluate import evaluate_run
from clearhead.service.load import load
from clearhead.service.look import look_at, readable
from clearhead.service.train import train
from clearhead.training.events import Finished, Interrupted, Validated

from .verse import VERSE, write_verse


@pytest.fixture(scope="module")
def verse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_verse(tmp_path_factory.mktemp("verse"))


@pytest.fixture(scope="module")
def finished(verse: Path) -> Path:
    events = list(train(verse, verse.parent / "run"))
    assert isinstance(events[-1], Finished)
    validated = [event for event in events if isinstance(event, Validated)]
    assert validated[-1].loss < 0.2 and set(validated[-1].scores) == {
        "perplexity",
        "bits_per_byte",
        "bits_per_character",
    }
    return verse.parent / "run"


def test_it_recites(finished: Path) -> None:
    writer = load(finished)
    answer, other = writer.predict(["two house", "in fair verona"], sample=False, max_length=60)
    # Longer than the context of 32, so the window has moved on.
    assert answer.alternatives[0].continuation == (VERSE * 2)[9:69]
    assert str(other) == (VERSE * 2)[VERSE.index("in fair") :][: 14 + 60]
    assert "\n" not in answer.text and "\n" in str(answer)


def test_samples_are_the_seeds_and_options_are_checked(finished: Path) -> None:
    writer = load(finished)
    drawn = [str(writer.predict(["t"], seed=seed, temperature=3.0)[0]) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert writer.settings({"beam": 4}).sample is False
    with pytest.raises(ConfigurationError, match="unknown key tempreture"):
        writer.predict(["t"], tempreture=1.0)
    with pytest.raises(ConfigurationError, match="expected a list of texts"):
        writer.predict("t")


def test_a_prompt_with_line_ends_is_json(finished: Path) -> None:
    writer = load(finished)
    assert writer.parse('{"prompt": "a\\nb"}') == "a\nb"
    for line in ('{"prompt": 1}', '{"a": "b"}', "{", "plain", '"quoted"'):
        assert writer.parse(line) == line


def test_evaluation_is_the_loss_of_the_held_out_tenth(finished: Path) -> None:
    found = evaluate_run(finished).as_dict()
    assert found["data"] == "valid" and found["characters"] == len(VERSE) * 4
    assert found["tokens"] == len(VERSE) * 4 + 1
    report = json.loads((finished / "report.json").read_text())
    assert report["scores"]["valid"]["loss"] == pytest.approx(found["loss"])
    assert report["data"]["characters"] == len(VERSE) * 36
    other = finished.parent / "other.txt"
    other.write_text("the quick brown fox\n")
    assert evaluate_run(finished, [other]).scored.loss > found["loss"] + 1


def test_looking_shows_every_head_and_only_what_stood_before(finished: Path) -> None:
    writer = load(finished)
    seen = writer.inspect("two house")
    assert list(seen.attentions) == ["decoder.0.self", "decoder.1.self"]
    weights = seen.weights("decoder.1.self")
    assert weights.shape == (4, 9, 9) and torch.equal(weights, weights.tril())
    view = writer.view("two ", "house")
    assert (view.answer, len(view.inspection.source)) == ("house", 9)
    ids = torch.tensor([writer.task.tokenizer.encode(["two house"])[0]])
    assert torch.equal(writer.logits(ids)[0], seen.logits)
    padded = torch.cat([ids, torch.zeros_like(ids)], dim=1)
    states = writer.states(padded, mask=padded != 0)
    torch.testing.assert_close(states[:, :9], writer.states(ids))
    with pytest.raises(ConfigurationError, match="reads one sequence"):
        writer.logits(ids, ids)


def test_no_label_is_blank_or_breaks_the_picture(finished: Path) -> None:
    rows, columns = look_at(load(finished), "in fair\nve\trona").labels()
    assert rows == columns == [*"in␣fair⏎ve", "<unk>", *"rona"]
    assert readable(["▁", "<0x0A>", "<0x20>", "<0x41>", ":\n"]) == ["␣", "⏎", "␣", "A", ":⏎"]


def test_resuming_is_exact_and_refuses_another_text(verse: Path, tmp_path: Path) -> None:
    shutil.copytree(verse.parent, tmp_path / "text", ignore=shutil.ignore_patterns("run*"))
    recipe = read_recipe(tmp_path / "text" / "verse.toml", ["training.updates=60", "training.validate_every=1000"])
    whole = [event for event in train(recipe, tmp_path / "whole") if isinstance(event, Finished)][-1]
    stopped = train(recipe, tmp_path / "stopped")
    for event in stopped:
        if event.update >= 50:
            stopped.close()
            break
    again = list(train(recipe, tmp_path / "stopped", resume=True))
    assert isinstance(again[-1], Finished) and again[-1].sha256 == whole.sha256
    assert not any(isinstance(event, Interrupted) for event in again)
    (tmp_path / "text" / "verse.txt").write_text(VERSE * 41)
    with pytest.raises(RunError, match=r"verse\.txt is not the file this run was begun with"):
        list(train(recipe, tmp_path / "stopped", resume=True))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("data.length=2000", "data.length = 2000 makes longer rows than model.max_positions = 1024"),
        ("tokenizer.subword_dropout=0.1", "subword_dropout"),
        ("training.watch=bleu", "training.watch: expected one of loss"),
        ("model.architecture=encoder", 'needs "decoder"'),
        ("data.split.valid=1.5", "data.split.valid"),
        ("data.packing=packed", "'documents' or 'continuous'"),
    ],
)
def test_impossible_recipes_are_refused(override: str, said: str, verse: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_recipe(verse, [override])
    assert said in str(caught.value)


def test_missing_text_is_named(verse: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no data file .*absent\.txt"):
        list(train(read_recipe(verse, ['data.train.files=["absent.txt"]']), tmp_path / "run"))


def test_continuations_are_looked_at_while_they_are_written(finished: Path) -> None:
    writer = load(finished)
    seen = writer.inspect_search("two house", decoding={"seed": 3, "max_length": 4, "n_best": 2, "sample": True})
    answers = writer.predict(["two house"], seed=3, max_length=4, n_best=2, sample=True)[0].alternatives
    assert sorted(seen.texts) == sorted(answer.text for answer in answers)
    for found in seen.inspections:
        assert found.weights("decoder.0.self").shape[1:] == (len(found.source), len(found.source))
    with pytest.raises(ConfigurationError, match="as long as prompt and continuation fit into the context of"):
        writer.inspect_search("two house", decoding={"max_length": 100_000})
