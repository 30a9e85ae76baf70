"""The loop: what it tells and when, what it keeps, when it ends, and how it behaves when something goes wrong."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from clearhead.errors import ConfigurationError, RunError
from clearhead.training import checkpoint, durable
from clearhead.training.evaluate import validation_loss
from clearhead.training.events import Validation
from clearhead.training.job import Validate
from clearhead.training.loop import run
from clearhead.training.loss import Loss
from clearhead.training.metrics import read_metrics
from clearhead.training.teacher_forcing import held_out_loss
from clearhead.training.weights import weights_of

from . import toys


def scores(*values: float) -> Validate:
    """Validations whose exact match is each of ``values`` in turn, then nothing."""
    rest = itertools.chain(values, itertools.repeat(-1.0))
    return lambda model: Validation(3.0, {"exact_match": next(rest)})


def of_kind(events: list[Any], kind: str) -> list[dict[str, Any]]:
    return [event.as_dict() for event in events if event.kind == kind]


def test_a_run_learns(tmp_path: Path) -> None:
    """Rows of one or two letters backwards: far better than the best guess without looking at the source.

    That guess knows 25 letters, and when a row ends: (1.5 · ln 25 + ln 2) / 2.5 = 2.2 nats per token.
    """
    every = {"log_every": 150, "validate_every": 150, "checkpoint_every": 150, "snapshot_every": 150}
    made = toys.job(tmp_path, updates=150, batch_tokens=300, warmup=30, corpus=toys.Letters(400, longest=2), **every)
    assert list(run(made))[-1].kind == "finished"
    assert validation_loss(made.model, toys.batches(toys.Letters(50, seed=6, longest=2), 50), held_out_loss) < 0.7


def test_the_objective_is_told_the_number_of_the_update(tmp_path: Path) -> None:
    """From 1, on and on over a resume: what a schedule of an objective's own goes by."""
    seen: list[int] = []

    def objective(model: nn.Module, batch: Any, update: int) -> Loss:
        seen.append(update)
        return held_out_loss(model, batch)

    for event in run(toys.job(tmp_path, updates=6, warmup=2, objective=objective, side_by_side=1)):
        if event.kind == "saved":
            break
    assert seen == [1, 2, 3]
    list(run(toys.job(tmp_path, updates=6, warmup=2, objective=objective, side_by_side=1, resume=True)))
    assert seen == [1, 2, 3, 4, 5, 6]


def test_what_is_told_in_which_order(tmp_path: Path) -> None:
    events = toys.train(tmp_path, updates=12, log_every=2)
    told = [(event.kind, event.update) for event in events]
    progress, saved, validated = (
        [u for kind, u in told if kind == name] for name in ("progressed", "saved", "validated")
    )
    assert told[0] == ("started", 0)
    assert progress == [2, 4, 6, 8, 10, 12]
    assert validated == [5, 10, 12]
    assert saved == [3, 6, 9, 12]
    assert told[-3:] == [("validated", 12), ("saved", 12), ("finished", 12)]
    assert [update for _, update in told] == sorted(update for _, update in told)


def test_what_progress_says(tmp_path: Path) -> None:
    corpus = toys.Letters()
    events = toys.train(tmp_path, updates=12, log_every=12, corpus=corpus)
    (told,) = of_kind(events, "progressed")
    rows = [row for batch in corpus.seen for row in batch]
    tokens = sum(len(corpus.targets[row]) + 1 for row in rows)
    sides = [[len(corpus.sources[row]) + 1 for row in batch] for batch in corpus.seen]  # both sides are equally long
    cells = sum(max(lengths) * len(lengths) for lengths in sides)
    assert told["tokens"] == tokens
    assert told["padding"] == pytest.approx(1 - tokens / cells)
    assert told["learning_rate"] == 0.0  # the end of the cosine
    assert told["epoch"] == 1
    assert told["seconds_left"] == 0.0
    assert 1.0 < told["nll"] < told["loss"] + 1 < 6.0
    assert told["tokens_per_second"] > 0 < told["gradient_norm"]


def test_every_event_is_json_and_the_history_is_on_the_disk(tmp_path: Path) -> None:
    events = toys.train(tmp_path, updates=12)
    for event in events:
        assert json.loads(json.dumps(event.as_dict(), allow_nan=False)) == event.as_dict()
    lines = read_metrics(tmp_path / "metrics.jsonl")
    assert lines == [event.as_dict() for event in events if event.recorded]
    assert {line["event"] for line in lines} == {"progressed", "validated", "finished"}


def test_the_final_weights_are_those_of_the_model(tmp_path: Path) -> None:
    made = toys.job(tmp_path, updates=8)
    finished = list(run(made))[-1].as_dict()
    stored = load_file(tmp_path / "model.safetensors")
    assert stored.keys() == weights_of(made.model).keys()
    assert all(torch.equal(stored[name], tensor) for name, tensor in weights_of(made.model).items())
    assert finished["sha256"] == durable.digest_of(tmp_path / "model.safetensors").sha256


# --- which weights are kept ---


def snapshots(folder: Path, *updates: int) -> list[dict[str, torch.Tensor]]:
    return [load_file(folder / "checkpoints" / checkpoint.weights_name(update)) for update in updates]


def test_the_average_of_the_last_snapshots_is_kept(tmp_path: Path) -> None:
    """Updates 4, 6 and 8: every second one, the last three."""
    events = toys.train(tmp_path, updates=8, keep="average")
    assert events[-1].as_dict()["kept"] == "average"
    parts, kept = snapshots(tmp_path, 4, 6, 8), load_file(tmp_path / "model.safetensors")
    for name, tensor in kept.items():
        expected = sum(part[name].double() for part in parts) / 3
        assert torch.equal(tensor, expected.float())
    assert {path.name for path in (tmp_path / "checkpoints" / "weights").iterdir()} >= {
        f"update-0000000{update}.safetensors" for update in (4, 6, 8)
    }


@pytest.mark.parametrize(
    ("keep", "given", "kept", "candidates"),
    [
        ("auto", (0.2, 0.7, 0.3, 0.9), "average", {"average": 0.9, "best": 0.7}),
        ("auto", (0.2, 0.7, 0.3, 0.5), "best", {"average": 0.5, "best": 0.7}),
        ("best", (0.2, 0.7, 0.3, 0.9), "best", {"best": 0.7}),
        ("average", (0.2, 0.7, 0.3, 0.9), "average", {}),
        ("last", (0.2, 0.7, 0.3, 0.9), "last", {}),
    ],
)
def test_which_weights_are_kept(
    tmp_path: Path, keep: str, given: tuple[float, ...], kept: str, candidates: dict
) -> None:
    """Validations after updates 4, 8 and 12, then one of the average, where it is asked for."""
    changes = {"updates": 12, "validate_every": 4, "snapshot_every": 4, "checkpoint_every": 1, "checkpoints": 1}
    events = toys.train(tmp_path, keep=keep, watch="exact_match", validate=scores(*given), **changes)
    assert [event["improved"] for event in of_kind(events, "validated")] == [True, True, False]
    finished = events[-1].as_dict()
    assert (finished["kept"], finished["candidates"]) == (kept, candidates)
    stored, parts = load_file(tmp_path / "model.safetensors"), snapshots(tmp_path, 8, 12)
    matching = {
        "best": torch.equal(stored["decoder.norm.weight"], parts[0]["decoder.norm.weight"]),
        "last": torch.equal(stored["decoder.norm.weight"], parts[1]["decoder.norm.weight"]),
    }
    assert matching == {name: name == kept for name in matching}


def test_without_validation_the_average_is_kept(tmp_path: Path) -> None:
    assert toys.train(tmp_path / "a", validate=None, updates=8)[-1].as_dict()["kept"] == "average"
    assert toys.train(tmp_path / "b", validate=None, updates=8, snapshot_every=8)[-1].as_dict()["kept"] == "last"


def test_old_files_go(tmp_path: Path) -> None:
    toys.train(tmp_path, updates=24, checkpoints=1, keep="average")
    folders = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert folders == ["update-00000024", "weights"]
    assert len(list((tmp_path / "checkpoints" / "weights").iterdir())) <= 3 + 1  # to be averaged, and the best


# --- when it ends ---


def test_it_ends_when_validations_do_not_improve(tmp_path: Path) -> None:
    validate = scores(0.5, 0.6, 0.6, 0.4, 0.9)
    events = toys.train(tmp_path, validate=validate, watch="exact_match", patience=2, validate_every=2, keep="best")
    assert (events[-1].update, events[-1].as_dict()["reason"]) == (8, "patience")
    assert events[-1].as_dict()["candidates"] == {"best": 0.6}


def test_it_ends_after_so_many_epochs_with_what_is_left_of_an_accumulation(tmp_path: Path) -> None:
    corpus = toys.Letters()
    events = toys.train(tmp_path, corpus=corpus, max_epochs=2, accumulate=4, validate=None, updates=100)
    assert events[-1].as_dict()["reason"] == "epochs"
    assert len(corpus.seen) % 4
    assert events[-1].update == -(-len(corpus.seen) // 4)
    rows = sorted(row for batch in corpus.seen for row in batch)
    assert rows == sorted(2 * list(range(len(corpus.sources))))


def test_a_score_that_the_validation_does_not_give_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="watch is 'bleu', but this validation gives only loss, exact_match"):
        toys.train(tmp_path, watch="bleu")


def test_a_corpus_of_nothing_is_refused(tmp_path: Path) -> None:
    class Empty(toys.Letters):
        def lengths(self, sample: int = 0) -> Any:
            return super().lengths(sample)[:0]

    with pytest.raises((RunError, ConfigurationError, ValueError)):
        toys.train(tmp_path, corpus=Empty())


# --- what is not finite ---


def broken_at(*updates: int, value: float = float("nan")) -> nn.Module:
    """A model whose decoder gives ``value`` at these updates (one batch each; validations are not counted)."""
    model, calls = toys.model(), itertools.count(1)

    def disturb(module: nn.Module, inputs: object, hidden: torch.Tensor) -> torch.Tensor:
        return hidden * value if module.training and next(calls) in updates else hidden

    model.decoder.register_forward_hook(disturb)  # type: ignore[union-attr]
    return model


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_update_whose_loss_is_not_finite_has_no_effect(tmp_path: Path, value: float) -> None:
    """Weights and moments after updates 1 … 4 with 3 broken are those before it; the event gives the raw value."""
    changes = {"updates": 3, "snapshot_every": 1, "checkpoint_every": 1, "validate": None, "schedule": "constant"}
    events = toys.train(tmp_path / "broken", model=broken_at(3, value=value), warmup=1, keep="last", **changes)
    (skipped,) = of_kind(events, "skipped")
    assert (skipped["update"], skipped["loss"], skipped["in_a_row"]) == (3, "nan", 1)
    toys.train(tmp_path / "shorter", warmup=1, keep="last", **{**changes, "updates": 2})
    for name in ("model.safetensors", "optimizer.safetensors"):
        last, shorter = (checkpoint.newest(tmp_path / run / "checkpoints").path for run in ("broken", "shorter"))
        assert last is not None and shorter is not None
        assert (last / name).read_bytes() == (shorter / name).read_bytes()


def test_training_goes_on_after_a_skipped_update(tmp_path: Path) -> None:
    events = toys.train(tmp_path, model=broken_at(4, 5, 9), updates=12, validate=None, skip_limit=3)
    assert [(event["update"], event["in_a_row"]) for event in of_kind(events, "skipped")] == [(4, 1), (5, 2), (9, 1)]
    assert events[-1].kind == "finished"
    finite = [event["loss"] for event in of_kind(events, "progressed")]
    assert finite.count("nan") == 3, "with one update to tell of, there is no mean to tell"


def test_too_many_in_a_row_end_the_run_and_name_the_last_good_checkpoint(tmp_path: Path) -> None:
    events: list[Any] = []
    with pytest.raises(RunError, match=r"not finite 3 times in a row .*last good checkpoint is .*update-00000006"):
        for event in run(toys.job(tmp_path, model=broken_at(*range(7, 30)), skip_limit=3, validate=None)):
            events.append(event)
    assert events[-1].update == 9
    assert checkpoint.saved(tmp_path / "checkpoints")[0].name == "update-00000006"


def test_weights_that_are_not_finite_are_never_saved(tmp_path: Path) -> None:
    made = toys.job(tmp_path, validate=None)
    with pytest.raises(RunError, match=r"weight is not finite.*last good checkpoint is .*update-00000003"):
        for event in run(made):
            if event.update == 6 and event.kind == "progressed":
                with torch.no_grad():
                    made.model.output_weight[0, 0] = float("inf")  # type: ignore[index]
    assert checkpoint.newest(tmp_path / "checkpoints").path == tmp_path / "checkpoints" / "update-00000003"


def test_a_jump_of_the_loss_is_told_and_a_normal_run_gives_no_false_alarm(tmp_path: Path) -> None:
    changes = {"updates": 60, "validate": None, "checkpoint_every": 60}
    assert of_kind(toys.train(tmp_path / "normal", **changes), "spiked") == []
    events = toys.train(tmp_path / "jumps", model=broken_at(40, value=30.0), **changes)
    (told,) = of_kind(events, "spiked")
    assert told["update"] == 40
    assert told["loss"] > 2 * told["usual"]


def test_a_batch_that_does_not_fit_into_memory_is_split_and_told(tmp_path: Path) -> None:
    model, calls = toys.model(), itertools.count(1)

    def cramped(*_: object) -> None:
        if next(calls) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    model.encoder.register_forward_pre_hook(cramped)  # type: ignore[union-attr]
    events = toys.train(tmp_path, model=model, updates=8, validate=None)
    (told,) = of_kind(events, "split")
    assert told == {
        "event": "split",
        "update": 2,
        "parts": 2,
        "reason": "CUDA out of memory. Tried to allocate 20.00 GiB",
    }
    assert events[-1].kind == "finished"


# --- a disk that fails ---


class Full:
    """``os`` on a disk without space, while ``full`` is set."""

    full = False

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def write(self, handle: int, piece: memoryview) -> int:
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(handle, piece)

    @staticmethod
    def fsync(handle: int) -> None:
        """Nothing."""


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Full]:
    made = Full()
    monkeypatch.setattr(durable, "os", made)
    yield made


def test_training_goes_on_while_the_disk_is_full_and_saves_when_it_is_not(tmp_path: Path, disk: Full) -> None:
    events = []
    for event in run(toys.job(tmp_path, updates=24, save_attempts=20)):
        events.append(event)
        disk.full = 5 <= event.update < 14
    failed = of_kind(events, "save-failed")
    assert len(failed) > 3
    assert all("No space left" in event["reason"] for event in failed)
    assert [event["in_a_row"] for event in failed][:3] == [1, 2, 3]
    assert [event["update"] for event in of_kind(events, "saved")] == [3, 15, 18, 21, 24]
    assert events[-1].kind == "finished"


def test_a_disk_that_stays_full_ends_the_run_with_the_cause(tmp_path: Path, disk: Full) -> None:
    events = []
    with pytest.raises(RunError, match=r"4 attempts to save failed in a row.*No space left.*checkpoint is .*00000003"):
        for event in run(toys.job(tmp_path, save_attempts=4)):
            events.append(event)
            disk.full = event.update >= 4
    assert len(of_kind(events, "save-failed")) == 3
    disk.full = False
    assert toys.train(tmp_path, resume=True)[-1].kind == "finished"


def test_an_interruption_that_cannot_be_saved_is_an_error(tmp_path: Path, disk: Full) -> None:
    made = toys.job(tmp_path)
    with pytest.raises(RunError, match=r"save failed.*No space left.*last good checkpoint is .*update-00000003"):
        for event in run(made):
            if event.update == 4:
                disk.full = True
                made.stop.set(2)


def test_final_weights_that_cannot_be_written_are_an_error_and_nothing_is_lost(tmp_path: Path, disk: Full) -> None:
    with pytest.raises(RunError, match=r"model\.safetensors cannot be written: .*No space left.*resume when it can"):
        for event in run(toys.job(tmp_path, updates=8, validate=None)):
            disk.full = event.kind == "saved" and event.update == 8
    disk.full = False
    assert not (tmp_path / "model.safetensors").exists()
    assert toys.train(tmp_path, resume=True, updates=8)[-1].kind == "finished"


# --- one process a folder ---


def test_a_second_run_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    first = run(toys.job(tmp_path))
    next(first)
    with pytest.raises(RunError, match=rf"in use by another training process \(process {os.getpid()}\)"):
        next(run(toys.job(tmp_path, resume=True)))
    first.close()
    assert toys.train(tmp_path, resume=True)[-1].kind == "finished"
