"""Recording changes no bit of a run, is the same over an interruption, stays within its bounds, and can be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clearhead.errors import ConfigurationError, RunError
from clearhead.recipes.read import read_recipe
from clearhead.recipes.recording import RecordingSettings
from clearhead.recipes.write import recipe_to_toml
from clearhead.service.load import load
from clearhead.service.recorder import HeadsRecorded, is_due
from clearhead.service.recording import read_recording
from clearhead.service.train import train
from clearhead.training.durable import digest_of
from clearhead.training.settings import TrainingSettings

from .toy_labels import write_toy_labels

SHORT = ["training.updates=12", "training.warmup=4", "training.validate_every=4", "model.dropout=0.1"]
ATTENTIONS = [f"encoder.{n}.self" for n in (0, 1)] + [
    f"decoder.{n}.{kind}" for n in (0, 1) for kind in ("self", "cross")
]
RECORD = 'recording.sentences=["1 2\\teins zwei", "3"]'


def run(toy: Path, out: Path, *changes: str, **options: Any) -> list[Any]:
    return list(train(read_recipe(toy, [*SHORT, *changes]), out, **options))


@pytest.fixture(scope="module")
def recorded(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run with two sentences recorded; not to be changed."""
    out = tmp_path_factory.mktemp("recorded") / "run"
    events = run(toy, out, RECORD, "recording.longest=3")
    assert [event.update for event in events if isinstance(event, HeadsRecorded)] == [4, 8, 12]
    return out


def test_training_is_the_same_to_the_bit_with_and_without(toy: Path, recorded: Path, tmp_path: Path) -> None:
    run(toy, tmp_path / "plain")
    assert digest_of(tmp_path / "plain" / "model.safetensors") == digest_of(recorded / "model.safetensors")
    assert not (tmp_path / "plain" / "heads.jsonl").exists()
    losses = [[line.get("loss") for line in lines(each)] for each in (tmp_path / "plain", recorded)]
    assert losses[0] == losses[1]


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def test_what_was_recorded_can_be_read(recorded: Path) -> None:
    found = read_recording(recorded)
    assert [frame.update for frame in found.frames] == [4, 8, 12]
    frame = found.frames[-1]
    assert list(frame.measures) == ATTENTIONS
    for measures in frame.measures.values():
        assert {name: len(values) for name, values in measures.items()} == {"entropy": 4, "distance": 4, "peak": 4}
        assert all(0 < peak <= 1 for peak in measures["peak"])
    assert frame.sentences[0].source == ("▁1", "▁2", "</s>")
    assert frame.sentences[0].target == ("▁eins", "▁zwei", "</s>")
    assert frame.sentences[1].source == ("▁3", "</s>")
    maps = found.maps(2, 0)
    assert set(maps) == set(ATTENTIONS)
    assert maps["decoder.1.cross"].shape == (4, 3, 3)
    assert maps["decoder.1.cross"].dtype == np.float16
    np.testing.assert_allclose(maps["decoder.1.cross"].sum(-1), 1.0, atol=2e-3)
    assert np.triu(maps["decoder.0.self"], 1).max() == 0
    assert json.loads(json.dumps(found.as_dict()))["frames"][0]["update"] == 4


def test_the_maps_of_the_last_update_are_those_of_the_last_weights(toy: Path, tmp_path: Path) -> None:
    run(toy, tmp_path / "run", RECORD, "training.keep=last")
    seen = load(tmp_path / "run", device="cpu").inspect("1 2", "eins zwei")
    maps = read_recording(tmp_path / "run").maps(2, 0)
    for name in ATTENTIONS:
        np.testing.assert_allclose(maps[name], seen.weights(name), atol=1e-3)


def test_a_resumed_run_records_what_an_uninterrupted_one_does(toy: Path, recorded: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    steps = train(read_recipe(toy, [*SHORT, RECORD, "recording.longest=3"]), out)
    for event in steps:
        if isinstance(event, HeadsRecorded) and event.update == 8:
            break  # killed after recording and before the checkpoint of update 10
    steps.close()  # type: ignore[attr-defined]
    shutil.copy(out / "maps" / "update-00000008.safetensors", out / "maps" / "update-00000011.safetensors")
    with (out / "heads.jsonl").open("ab") as file:
        file.write(b'{"event": "heads", "update": 9}\n{"event": "hea')
    run(toy, out, RECORD, "recording.longest=3", resume=True)
    assert (out / "heads.jsonl").read_bytes() == (recorded / "heads.jsonl").read_bytes()
    files = sorted(path.name for path in (recorded / "maps").iterdir())
    assert sorted(path.name for path in (out / "maps").iterdir()) == files
    assert all(digest_of(out / "maps" / name) == digest_of(recorded / "maps" / name) for name in files)


def test_recording_may_be_added_when_a_run_is_resumed(toy: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    steps = train(read_recipe(toy, SHORT), out)
    for event in steps:
        if event.kind == "saved":
            break
    steps.close()  # type: ignore[attr-defined]
    run(toy, out, "recording.examples=1", "recording.measures=false", resume=True)
    (frame,) = read_recording(out).frames
    assert (frame.update, frame.measures, len(frame.sentences)) == (12, {}, 1)


def test_a_full_disk_costs_the_maps_and_nothing_else(
    toy: Path, recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("clearhead.service.recorder.durable.replace_file", full)
    events = run(toy, tmp_path / "run", RECORD)
    assert {event.failed for event in events if isinstance(event, HeadsRecorded)} == {"No space left on device"}
    found = read_recording(tmp_path / "run")
    assert [frame.sentences for frame in found.frames] == [(), (), ()]
    assert found.frames[0].measures == read_recording(recorded).frames[0].measures


@pytest.mark.parametrize(("most", "due"), [(200, list(range(10, 101, 10))), (3, [40, 80, 100]), (1, [100])])
def test_a_run_records_at_most_so_many_times_and_always_at_its_end(most: int, due: list[int]) -> None:
    training = TrainingSettings(updates=100, validate_every=10)
    settings = RecordingSettings(most=most)
    assert [update for update in range(10, 101, 10) if is_due(settings, training, update)] == due
    assert is_due(settings, training, 37)  # a run that ended early


def test_the_recipe_round_trips(toy: Path, tmp_path: Path) -> None:
    recipe = read_recipe(toy, [RECORD])
    assert recipe.recording == RecordingSettings(sentences=("1 2\teins zwei", "3"))
    path = tmp_path / "again.toml"
    path.write_text(recipe_to_toml(recipe), encoding="utf-8")
    assert read_recipe(path) == recipe
    assert "recording" not in recipe.answering()


def test_what_is_missing_or_damaged_is_named(finished: Path, recorded: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"has no heads.jsonl: nothing was recorded"):
        read_recording(finished)
    folder = Path(shutil.copytree(recorded, tmp_path / "run"))
    found = read_recording(folder)
    with pytest.raises(ConfigurationError, match="frame: expected a number from 0 to 2, got 3"):
        found.maps(3, 0)
    with pytest.raises(ConfigurationError, match="sentence: expected a number from 0 to 1, got 2"):
        found.maps(0, 2)
    (folder / "maps" / "update-00000004.safetensors").write_bytes(b"no maps")
    with pytest.raises(RunError, match=r"update-00000004.safetensors"):
        found.maps(0, 0)
    (folder / "heads.jsonl").write_text('{"update": 3, "measures": [], "sentences": []}\n', encoding="utf-8")
    with pytest.raises(RunError, match=r"heads.jsonl:1 is damaged"):
        read_recording(folder)


@pytest.mark.parametrize(("sentence", "reason"), [(" ", "there is nothing to look at"), ("a\\tb", "no target side")])
def test_a_sentence_that_cannot_be_looked_at_is_refused_before_the_first_update(
    tmp_path: Path, sentence: str, reason: str
) -> None:
    recipe = read_recipe(write_toy_labels(tmp_path / "toy"), [f'recording.sentences=["red plum", "{sentence}"]'])
    seen = []
    with pytest.raises(ConfigurationError, match=f"recording.sentences: number 2, .*{reason}"):
        seen.extend(event.kind for event in train(recipe, tmp_path / "run"))
    assert "progressed" not in seen and not (tmp_path / "run" / "metrics.jsonl").read_text().count("progressed")
