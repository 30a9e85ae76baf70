"""Resumed = never stopped: after any interruption the same batches, losses, scores and weights, to the bit.

The scope of the promise: same machine, same build of torch, same number of threads. The controls at the end take one
item of the saved state away and expect the comparison to notice.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from clearhead.errors import RunError
from clearhead.training import checkpoint
from clearhead.training.checkpoint import Checkpoint
from clearhead.training.events import Event
from clearhead.training.loop import run
from clearhead.training.metrics import read_metrics
from clearhead.training.settings import TrainingSettings
from clearhead.training.signals import StopFlag

from . import toys

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulating": {"accumulate": 3, "log_every": 4, "updates": 12},
    "bfloat16": {"precision": "bfloat16", "updates": 12},
    "sgd": {"optimizer": "sgd", "learning_rate": 0.3, "updates": 12, "keep": "average"},
}


def train_until(out: Path, stop_after: int, **changes: Any) -> list[Event]:
    """Train, resuming where there is something to resume, and ask for a stop once ``stop_after`` updates are done."""
    job = toys.job(out, resume=True, **changes)
    events = []
    for event in run(job):
        events.append(event)
        if event.update >= stop_after and event.kind in ("progressed", "validated", "skipped"):
            job.stop.set(15)
    return events


def final_state(out: Path) -> tuple[str, dict[str, Any]]:
    """The digest of the kept weights and of the last checkpoint's tensors, and its state without the clock's."""
    found = checkpoint.newest(out / "checkpoints").path
    assert found is not None
    state = json.loads((found / "state.json").read_text())
    del state["course"]["seconds"], state["course"]["window"]["seconds"]
    files, _ = checkpoint.verify(found)
    digests = {name: digest for name, digest in files.items() if name != "state.json"}
    return str(digests) + checkpoint.durable.digest_of(out / "model.safetensors").sha256, state


@pytest.fixture(scope="module", params=VARIANTS)
def unbroken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """An uninterrupted run, and how it was set up."""
    out = tmp_path_factory.mktemp("unbroken")
    changes = VARIANTS[request.param]
    assert toys.train(out, **changes)[-1].kind == "finished"
    return out, changes


@pytest.mark.parametrize("stops", [(4,), (1, 7, 8), (5, 10)])
def test_a_run_stopped_at_any_update_goes_on_as_if_never_stopped(
    unbroken: tuple[Path, dict[str, Any]], tmp_path: Path, stops: tuple[int, ...]
) -> None:
    """Updates 5 and 10 have a validation due, 7 ends the first epoch; between checkpoints and at them."""
    out, changes = unbroken
    for stop_after in stops:
        events = train_until(tmp_path, stop_after, **changes)
        assert events[-1].kind == "interrupted"
    toys.train(tmp_path, resume=True, **changes)
    assert toys.untimed(read_metrics(tmp_path / "metrics.jsonl")) == toys.untimed(read_metrics(out / "metrics.jsonl"))
    assert final_state(tmp_path) == final_state(out)


def test_a_stop_amid_an_accumulation_loses_that_update_only(tmp_path: Path) -> None:
    """The flag is set while the second of three batches of update 4 is computed."""
    changes: dict[str, Any] = {"accumulate": 3, "updates": 8}
    toys.train(tmp_path / "unbroken", **changes)
    stop, model, calls = StopFlag(), toys.model(), []

    def count(*_: object) -> None:
        calls.append(1)
        if len(calls) == 3 * 3 + 2:
            stop.set(15)

    model.encoder.register_forward_hook(count)  # type: ignore[union-attr]
    events = toys.train(tmp_path / "broken", model=model, stop=stop, validate=None, **changes)
    assert len(calls) == 11
    assert events[-1].as_dict() | {"path": ""} == {"event": "interrupted", "update": 3, "signal": 15, "path": ""}
    toys.train(tmp_path / "broken", resume=True, **changes)
    assert final_state(tmp_path / "broken") == final_state(tmp_path / "unbroken")


def test_every_sentence_is_read_once_an_epoch_over_interruptions(tmp_path: Path) -> None:
    read: list[list[int]] = []
    for stop_after in (3, 4, 10, 100):
        letters = toys.Letters()
        events = train_until(tmp_path, stop_after, corpus=letters, validate=None, accumulate=2, updates=16)
        batches = letters.seen if events[-1].kind == "finished" else letters.seen[: 2 * (len(events) - 2)]
        read += batches[: 2 * len([event for event in events if event.kind == "progressed"])]
    letters = toys.Letters()
    toys.train(tmp_path / "unbroken", corpus=letters, validate=None, accumulate=2, updates=16)
    assert read == letters.seen
    count = len(letters.sources)
    assert sorted([row for batch in read for row in batch][:count]) == list(range(count))


def test_a_validation_that_was_stopped_is_done_on_resuming(tmp_path: Path) -> None:
    """SIGTERM during a long validation: the loop saves at once, and what is missing is made up for."""
    from clearhead.training.signals import Stopped

    def gives_up(model: torch.nn.Module) -> Any:
        raise Stopped

    events = toys.train(tmp_path, validate=gives_up, updates=12)
    assert [event.kind for event in events[-2:]] == ["saved", "interrupted"]
    assert events[-1].update == 5
    toys.train(tmp_path, resume=True, updates=12)
    toys.train(tmp_path / "unbroken", updates=12)
    found, expected = (toys.untimed(read_metrics(out / "metrics.jsonl")) for out in (tmp_path, tmp_path / "unbroken"))
    assert found == expected


def test_a_stop_before_the_first_update_leaves_nothing_to_lose(tmp_path: Path) -> None:
    stop = StopFlag()
    stop.set(2)
    assert [(event.kind, event.update) for event in toys.train(tmp_path, stop=stop)] == [
        ("started", 0),
        ("interrupted", 0),
    ]
    toys.train(tmp_path, resume=True, updates=12)
    toys.train(tmp_path / "unbroken", updates=12)
    assert final_state(tmp_path) == final_state(tmp_path / "unbroken")


def test_a_stop_while_the_average_is_validated_leaves_the_run_as_it_was(tmp_path: Path) -> None:
    """The model then holds the average, which must not become the weights to go on from."""
    from clearhead.training.signals import Stopped

    calls = []

    def gives_up_at_the_end(model: torch.nn.Module) -> Any:
        calls.append(1)
        if len(calls) == 4:  # after updates 5, 10 and 12
            raise Stopped
        return toys.validate(model)

    events = toys.train(tmp_path, validate=gives_up_at_the_end, updates=12)
    assert (events[-1].kind, events[-1].update) == ("interrupted", 12)
    assert not (tmp_path / "model.safetensors").exists()
    toys.train(tmp_path, resume=True, updates=12)
    toys.train(tmp_path / "unbroken", updates=12)
    assert final_state(tmp_path) == final_state(tmp_path / "unbroken")


def test_validation_and_listeners_never_change_the_run(tmp_path: Path) -> None:
    """Numbers drawn between updates, by whomever, are not those of training."""

    def draws(model: torch.nn.Module) -> Any:
        torch.rand(17)
        model.train()
        return toys.validate(model)

    quiet = toys.train(tmp_path / "a", updates=8)
    disturbed = []
    for event in run(toys.job(tmp_path / "b", updates=8, validate=draws)):
        torch.manual_seed(99)
        disturbed.append(event)
    assert toys.history(quiet) == toys.history(disturbed)


def test_resuming_a_finished_run_gives_the_same_end(tmp_path: Path) -> None:
    first = toys.train(tmp_path, updates=8)
    again = toys.train(tmp_path, updates=8, resume=True)
    assert [event.kind for event in again] == ["started", "finished"]
    assert toys.untimed([again[-1]]) == toys.untimed([first[-1]])
    assert len(read_metrics(tmp_path / "metrics.jsonl")) == len(toys.history(first))


def test_resuming_before_the_first_checkpoint_begins_anew(tmp_path: Path) -> None:
    expected = toys.train(tmp_path / "unbroken", updates=8)
    (tmp_path / "metrics.jsonl").write_text('{"event": "progressed", "update": 1}\n{"half')
    assert toys.history(toys.train(tmp_path, updates=8, resume=True)) == toys.history(expected)


# --- the controls ---


def zeroed(part: str, item: str) -> Callable[[Checkpoint], Checkpoint]:
    """A checkpoint whose tensors called ``item`` are lost."""

    def harm(whole: Checkpoint) -> Checkpoint:
        tensors = getattr(whole, part)
        return dataclasses.replace(
            whole, **{part: {name: torch.zeros_like(t) if name.endswith(item) else t for name, t in tensors.items()}}
        )

    return harm


def reset(item: str, value: Any) -> Callable[[Checkpoint], Checkpoint]:
    """A checkpoint whose state item ``item`` was not saved."""

    def harm(whole: Checkpoint) -> Checkpoint:
        return dataclasses.replace(whole, state={**whole.state, "course": {**whole.state["course"], item: value}})

    return harm


def other_random(whole: Checkpoint) -> Checkpoint:
    torch.manual_seed(11)
    return dataclasses.replace(whole, random={"cpu": torch.get_rng_state()})


def unharmed(whole: Checkpoint) -> Checkpoint:
    return whole


STOP, SKIPPED, JUMPS = 30, (30, 31, 32), 35
LOSSES = {
    "random states": other_random,
    "first moments": zeroed("optimizer", "exp_avg"),
    "second moments": zeroed("optimizer", "exp_avg_sq"),
    "step count": zeroed("optimizer", "step"),
    "embedding": zeroed("model", "tokens.weight"),
    "a norm's bias": zeroed("model", "norm.bias"),
    "update": reset("update", STOP - 1),
    "place": reset("place", {"epoch": 0, "batch": 0}),
    "sums of progress": reset("window", {}),
    "snapshots": reset("snapshots", []),
    "best": reset("best", None),
    "validations since the best": reset("worse", 0),
    "tokens": reset("tokens", 0),
    "gradient norm": reset("gradient_norm", 0.0),
    "skipped in a row": reset("skipped", 0),
    "recent losses": reset("losses", []),
}


def eventful(out: Path, first: int = 1, **changes: Any) -> dict[str, Any]:
    """A run in which every item of the state is in use; ``first`` is the update that its model will see first.

    The validation gets worse all the time, so patience counts. Three updates around the stop have no finite loss, so
    that progress after it tells the norm of a gradient from before it. Later the loss jumps.
    """
    from clearhead.training.events import Validation

    model, updates, loss = toys.model(), iter(range(first, 100)), iter(range((first - 1) // 10, 100))

    def disturb(module: object, inputs: object, hidden: torch.Tensor) -> torch.Tensor:
        update = next(updates)
        return hidden * (float("nan") if update in SKIPPED else 30.0 if update == JUMPS else 1.0)

    model.decoder.register_forward_hook(disturb)  # type: ignore[union-attr]
    settings = {"updates": 44, "log_every": 4, "validate_every": 10, "patience": 2, "keep": "average", "skip_limit": 4}
    return {
        "model": model,
        "validate": lambda _: Validation(5.0 + next(loss)),
        "snapshot_every": 4,
        **settings,
        **changes,
    }


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after update 30, which was without effect."""
    out = tmp_path_factory.mktemp("stopped")
    assert train_until(out, STOP, **eventful(out))[-1].as_dict()["update"] == STOP
    return out


@pytest.fixture(scope="module")
def expected(stopped: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Its undisturbed continuation."""
    history = continued(stopped, tmp_path_factory.mktemp("expected"), unharmed)
    kinds = [(event["event"], event["update"]) for event in history]
    assert {("skipped", 31), ("skipped", 32), ("spiked", JUMPS), ("validated", 40), ("finished", 40)} <= set(kinds)
    return history


def continued(stopped: Path, to: Path, harm: Callable[[Checkpoint], Checkpoint]) -> list[dict[str, Any]]:
    """What a copy of the stopped run does after ``harm`` was done to its newest checkpoint."""
    shutil.copytree(stopped, to / "run")
    found = checkpoint.newest(to / "run" / "checkpoints").path
    assert found is not None
    whole = harm(checkpoint.load(found))
    shutil.rmtree(found)
    checkpoint.save(found.parent, dataclasses.replace(whole, update=whole.state["course"]["update"]))
    return toys.history(toys.train(to / "run", resume=True, **eventful(to, STOP + 1)))


@pytest.mark.parametrize("item", LOSSES)
def test_the_law_notices_when_an_item_of_the_state_is_lost(
    stopped: Path, expected: list[dict[str, Any]], tmp_path: Path, item: str
) -> None:
    assert continued(stopped, tmp_path, LOSSES[item]) != expected


def test_the_control_of_the_controls(stopped: Path, expected: list[dict[str, Any]], tmp_path: Path) -> None:
    """The same way there and back with nothing lost changes nothing."""
    assert continued(stopped, tmp_path, unharmed) == expected


def test_the_law_notices_when_it_is_forgotten_that_a_validation_was_made(tmp_path: Path) -> None:
    train_until(tmp_path / "stopped", 10, **eventful(tmp_path))
    kept = continued_from_ten(tmp_path, "a", unharmed)
    assert kept[0]["event"] == "progressed"
    assert continued_from_ten(tmp_path, "b", reset("validated", 0))[0]["event"] == "validated"


def continued_from_ten(folder: Path, name: str, harm: Callable[[Checkpoint], Checkpoint]) -> list[dict[str, Any]]:
    found = checkpoint.newest(shutil.copytree(folder / "stopped", folder / name) / "checkpoints").path
    assert found is not None
    whole = harm(checkpoint.load(found))
    shutil.rmtree(found)
    checkpoint.save(found.parent, whole)
    return toys.history(train_until(folder / name, 12, **eventful(folder, 11)))


# --- what may not change ---

CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "settings": ({"learning_rate": 0.02}, "training.learning_rate was 0.01 and is now 0.02"),
    "horizon": ({"updates": 30}, "training.updates was 24 and is now 30"),
    "data": ({"corpus": toys.Letters(seed=8)}, "training data was "),
    "seed": ({"seed": 12}, "seed was 11 and is now 12"),
    "tokenizer": ({"identity": {"tokenizer": "b"}}, "tokenizer was a and is now b"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_since_is_named_and_refused_unless_told_otherwise(tmp_path: Path, what: str) -> None:
    changes, sentence = CHANGES[what]
    train_until(tmp_path, 4, identity={"tokenizer": "a"})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    given: dict[str, Any] = {"identity": {"tokenizer": "a"}, "resume": True, **changes}
    with pytest.raises(RunError, match="set up differently") as refusal:
        toys.train(tmp_path, **given)
    assert sentence in str(refusal.value)
    assert {path: path.read_bytes() for path in before} == before
    assert toys.train(tmp_path, accept_changes=True, **given)[-1].kind == "finished"


def test_what_only_says_when_to_speak_may_change(tmp_path: Path) -> None:
    train_until(tmp_path, 4)
    assert toys.train(tmp_path, resume=True, log_every=7, checkpoint_every=9, checkpoints=1)[-1].kind == "finished"


def test_code_and_build_are_part_of_what_may_not_change(tmp_path: Path) -> None:
    train_until(tmp_path, 4)
    found = checkpoint.newest(tmp_path / "checkpoints").path
    assert found is not None
    whole = checkpoint.load(found)
    older = {**whole.state["identity"], "torch": "2.1.0", "threads": 64}
    checkpoint.save(tmp_path / "checkpoints", dataclasses.replace(whole, state={**whole.state, "identity": older}))
    with pytest.raises(RunError, match=r"threads was 64 and is now 1; torch was 2\.1\.0 and is now"):
        toys.train(tmp_path, resume=True)


def test_another_model_is_refused(tmp_path: Path) -> None:
    train_until(tmp_path, 4)
    with pytest.raises(RunError, match="weights of another model"):
        toys.train(tmp_path, resume=True, model=toys.model(feedforward=41))


def test_a_new_run_never_writes_into_an_old_one(tmp_path: Path) -> None:
    train_until(tmp_path, 4)
    with pytest.raises(RunError, match="checkpoints of an earlier run"):
        toys.train(tmp_path)


def test_only_damaged_checkpoints_are_an_error_that_names_the_files(tmp_path: Path) -> None:
    train_until(tmp_path, 4)
    for path in (tmp_path / "checkpoints").glob("*/optimizer.safetensors"):
        path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RunError, match=r"no complete checkpoint .*optimizer\.safetensors is damaged"):
        toys.train(tmp_path, resume=True)


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before(tmp_path: Path) -> None:
    train_until(tmp_path, 7)
    newest = checkpoint.newest(tmp_path / "checkpoints").path
    assert newest is not None
    (newest / "model.safetensors").unlink()
    events = toys.train(tmp_path, resume=True)
    assert events[0].update == 6
    assert "model.safetensors is missing" in events[0].as_dict()["passed_over"][0]
    toys.train(tmp_path / "unbroken")
    assert final_state(tmp_path) == final_state(tmp_path / "unbroken")


def test_settings_are_never_half_equal() -> None:
    """Every setting is either part of the identity or known to be free."""
    from clearhead.training.identity import FREE

    assert set(TrainingSettings.model_fields) >= FREE
