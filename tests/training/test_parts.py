"""The small parts of training, each by itself: metrics, averaging, held-out loss, spikes, signals, lock, precision."""

from __future__ import annotations

import errno
import json
import math
import os
import signal
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from clearhead.data.order import BatchOrder
from clearhead.errors import DataError, MissingExtraError, RunError
from clearhead.hardware import multiplies_bfloat16
from clearhead.training import metrics
from clearhead.training.averaging import average
from clearhead.training.course import Best, Course, Window
from clearhead.training.durable import Digest
from clearhead.training.evaluate import perplexity, validation_loss
from clearhead.training.events import Event, Saved, Skipped, Validated, Validation
from clearhead.training.lock import only_user
from clearhead.training.metrics import MetricsFile, read_metrics
from clearhead.training.precision import autocast, resolve
from clearhead.training.scoring import better
from clearhead.training.signals import StopFlag, Stopped, stop_on_signals
from clearhead.training.spikes import FEWEST, remember, spike
from clearhead.training.stream import BatchStream, Place
from clearhead.training.teacher_forcing import held_out_loss
from clearhead.training.tensorboard import SHOWN, TensorBoardLog, scalars

from . import toys

# --- metrics.jsonl ---


def skipped(update: int) -> Skipped:
    return Skipped(update, float("nan"), float("-inf"), 1)


def test_what_json_lacks_is_written_as_words(tmp_path: Path) -> None:
    log = MetricsFile(tmp_path / "metrics.jsonl")
    log.add(skipped(3))
    log.add(Saved(3, "somewhere", 0.1))
    log.close()
    assert read_metrics(tmp_path / "metrics.jsonl") == [
        {"event": "skipped", "update": 3, "loss": "nan", "gradient_norm": "-inf", "in_a_row": 1}
    ]


@pytest.mark.parametrize("rest", [b"", b'{"event": "skip', b"\x00\x00\n", b"[1]\n", b'{"update": 1}\n'])
def test_lines_that_will_be_written_again_are_cut_off(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsFile(path)
    for update in (1, 2, 3, 4):
        log.add(skipped(update))
    log.close()
    whole = path.read_bytes()
    path.write_bytes(whole + rest)
    again = MetricsFile(path, after=2)
    for update in (3, 4):
        again.add(skipped(update))
    again.close()
    assert path.read_bytes() == whole


def test_a_full_disk_delays_lines_and_loses_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, real = tmp_path / "metrics.jsonl", os.pwrite

    def full(handle: int, text: bytes, place: int) -> int:
        real(handle, text[:9], place)  # part of it comes through
        raise OSError(errno.ENOSPC, "No space left on device")

    log = MetricsFile(path)
    log.add(skipped(1))
    with monkeypatch.context() as patch:
        patch.setattr(metrics.os, "pwrite", full)
        log.add(skipped(2))
        log.add(skipped(3))
        assert len(path.read_bytes().split(b"\n")[:-1]) == 1
    log.add(skipped(4))
    log.close()
    assert [line["update"] for line in read_metrics(path)] == [1, 2, 3, 4]


# --- TensorBoard ---


def test_without_tensorboard_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'clearhead\[tensorboard\]'"):
        TensorBoardLog(tmp_path)


def test_the_curves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points: list[tuple[object, ...]] = []

    class SummaryWriter:
        def __init__(self, folder: str, purge_step: int | None) -> None:
            points.append((folder, purge_step))

        def add_scalar(self, name: str, value: float, update: int) -> None:
            points.append((name, value, update))

        def close(self) -> None:
            points.append(("closed",))

    monkeypatch.setitem(sys.modules, "tensorboard", types.ModuleType("tensorboard"))
    board = types.ModuleType("torch.utils.tensorboard")
    board.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", board)
    toys.train(tmp_path, updates=7, log_every=7, validate_every=7, tensorboard=True)
    assert points[0] == (str(tmp_path / "tensorboard"), None)
    assert points[-1] == ("closed",)
    names = [str(point[0]) for point in points[1:-1]]
    assert names == [
        *(f"training/{name}" for name in SHOWN),
        *(f"validation/{name}" for name in ("loss", "perplexity", "exact_match")),
    ]
    assert {point[2] for point in points[1:-1]} == {7}
    assert not list(scalars(skipped(1)))


# --- averaging ---


def test_an_average_is_exact_and_keeps_types() -> None:
    """In float32 the third of these would vanish beside the first; in float64 their mean is exact before rounding."""
    values = (1.0, -1.0, 3e-9)
    parts = [{"w": torch.tensor([value]), "steps": torch.tensor(number)} for number, value in enumerate(values)]
    mean = average(iter(parts))
    assert mean["w"].dtype == torch.float32
    assert mean["w"].item() == pytest.approx(1e-9, rel=1e-6)
    assert mean["steps"].item() == 2
    assert [part["w"].item() for part in parts] == pytest.approx(values), "the parts are left as they are"


def test_the_mean_of_one_is_itself_also_in_float64() -> None:
    part = {"w": torch.randn(3, dtype=torch.float64)}
    assert torch.equal(average([part])["w"], part["w"])
    two = average([part, {"w": torch.zeros(3, dtype=torch.float64)}])["w"]
    assert torch.equal(two, part["w"] / 2)


def test_what_cannot_be_averaged_is_refused() -> None:
    with pytest.raises(RunError, match="no snapshot"):
        average([])
    with pytest.raises(RunError, match="different weights"):
        average([{"a": torch.zeros(1)}, {"b": torch.zeros(1)}])


# --- the held-out loss ---


def test_the_held_out_loss_is_that_of_the_textbook() -> None:
    """−log softmax at the target, meaned over all real tokens of all batches, without dropout."""
    model = toys.model().train()
    found = validation_loss(model, toys.batches(toys.HELD_OUT, 7), held_out_loss)
    model.eval()
    total, tokens = 0.0, 0
    for batch in toys.batches(toys.HELD_OUT, 20):
        logits = model.logits(batch.source, batch.target_in, mask=batch.source_mask).detach()  # type: ignore[operator]
        chosen = logits.log_softmax(-1).gather(2, batch.target_out[..., None])[..., 0]
        total, tokens = total - chosen[batch.target_mask].sum().item(), tokens + batch.tokens
    assert found == pytest.approx(total / tokens, rel=1e-5)


def test_the_model_keeps_its_mode_and_gets_no_gradient() -> None:
    for mode in (True, False):
        model = toys.model().train(mode)
        validation_loss(model, toys.batches(toys.HELD_OUT, 10), held_out_loss)
        assert model.training is mode
        assert all(parameter.grad is None for parameter in model.parameters())


def test_a_stop_ends_the_evaluation() -> None:
    stop = StopFlag()
    stop.set()
    with pytest.raises(Stopped):
        validation_loss(toys.model(), toys.batches(toys.HELD_OUT, 10), held_out_loss, stop=stop)
    with pytest.raises(DataError, match="nothing to measure"):
        validation_loss(toys.model(), [], held_out_loss)


def test_perplexity() -> None:
    assert perplexity(0.0) == 1.0
    assert perplexity(math.log(29)) == pytest.approx(29)
    assert perplexity(1e6) == math.inf


# --- spikes ---


def test_a_spike_by_hand() -> None:
    """Median 3, median absolute deviation 1: 3 + 9 · 1.4826 is nine deviations away."""
    recent = [1.0, 2.0, 3.0, 4.0, 5.0] * 6
    found = spike(recent, 3 + 9 * 1.4826)
    assert found is not None
    assert (found.usual, found.score) == (3.0, pytest.approx(9.0))
    assert spike(recent, 3 + 7.9 * 1.4826) is None
    assert spike(recent, -100.0) is None
    assert spike(recent[: FEWEST - 1], 1000.0) is None


def test_a_noisy_falling_loss_gives_no_alarm() -> None:
    """Batches of similar length have losses that scatter by a tenth, heavy-tailed, around a falling mean."""
    chance, alarms = np.random.default_rng(1), 0
    for _ in range(20):
        recent: list[float] = []
        for update in range(500):
            loss = (2 + 6 * math.exp(-update / 60)) * (1 + 0.1 * float(chance.standard_t(5)))
            found = spike(recent, loss)
            alarms += found is not None
            recent = remember(recent, loss, found is not None)
    assert alarms <= 3, "in 10,000 updates"


def test_a_loss_that_stays_high_is_told_once_and_the_memory_stays_small() -> None:
    recent, told = [1.0] * 64, []
    for update in range(200):
        found = spike(recent, 9.0)
        told += [update] if found else []
        recent = remember(recent, 9.0, found is not None)
    assert told == [0]
    assert len(recent) == 64


# --- signals ---


def test_signals_set_the_flag_and_the_second_one_is_the_system_s() -> None:
    former = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with stop_on_signals() as stop:
        assert not stop
        signal.raise_signal(signal.SIGTERM)
        assert stop
        assert stop.number == signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == former


# --- the lock ---

HOLDER = """
import sys, pathlib
from clearhead.training.lock import only_user
with only_user(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_folder_has_one_user_and_a_dead_one_lets_go(tmp_path: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"process {other.pid}"), only_user(tmp_path):
            pass
    finally:
        other.kill()
        other.communicate()
    with only_user(tmp_path):
        pass


def test_a_folder_that_cannot_be_locked_is_an_error_with_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clearhead.training import lock

    def refuses(handle: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuses)
    with (
        pytest.raises(RunError, match="against a second process: No locks available"),
        only_user(tmp_path),
    ):
        pass


# --- precision ---


def test_which_precision() -> None:
    cpu = torch.device("cpu")
    assert resolve("float32", cpu) == "float32"
    assert resolve("bfloat16", cpu) == "bfloat16"
    assert resolve("auto", cpu) == ("bfloat16" if multiplies_bfloat16(cpu) else "float32")
    with autocast("bfloat16", cpu):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.bfloat16
    with autocast("float32", cpu):
        assert torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("able", "expected"),
    [({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"avx2": True}, False), ({}, False)],
)
def test_bfloat16_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch, able: dict, expected: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able, raising=False)
    multiplies_bfloat16.cache_clear()
    assert multiplies_bfloat16(torch.device("cpu")) is expected
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not multiplies_bfloat16(torch.device("cuda"))
    multiplies_bfloat16.cache_clear()


# --- the stream of batches, the state as JSON, the events ---


def test_batches_from_any_place_on_are_those_of_the_whole() -> None:
    letters = toys.Letters(samples=2)
    order = BatchOrder(letters, 160, 4)

    def from_place(place: Place, count: int) -> list[list[int]]:
        letters.seen = []
        BatchStream(letters, order, place, None).take(count)
        return list(letters.seen)

    whole = from_place(Place(), 40)
    stream, places = BatchStream(letters, order, Place(), None), []
    for _ in range(40):
        places.append(stream.place)
        stream.take(1)
    assert places[-1].epoch >= 3
    for number in range(0, 40, 3):
        assert from_place(places[number], 40 - number) == whole[number:]


def test_the_course_survives_json_to_the_bit() -> None:
    course = Course(
        update=7,
        place=Place(2, 5),
        seconds=0.1 + 0.2,
        best=Best(5, 1 / 3),
        snapshots=[4, 6],
        weights={6: Digest("ab", 3)},
        losses=[math.pi],
        window=Window(loss=1e-300, tokens=3),
    )
    assert Course.from_dict(json.loads(json.dumps(course.as_dict()))) == course
    assert Course.from_dict(json.loads(json.dumps(Course().as_dict()))) == Course()


def test_only_needed_weights_are_remembered() -> None:
    course = Course(best=Best(2, 0.5), snapshots=[4, 6], weights={n: Digest("ab", n) for n in (1, 2, 4, 5, 6)})
    course.forget_unneeded_weights()
    assert sorted(course.weights) == [2, 4, 6]


def test_which_score_is_better() -> None:
    assert better("loss", 1.0, 2.0)
    assert better("bleu", 2.0, 1.0)
    assert not better("bleu", 1.0, 1.0)
    assert not better("loss", float("nan"), 1.0)
    assert not better("bleu", float("nan"), 1.0)


def test_events_name_themselves() -> None:
    told = [kind for kind in Event.__subclasses__() if kind.__module__ == Event.__module__]  # other rooms add theirs
    kinds = {kind.__name__: kind.kind for kind in told}
    assert len(set(kinds.values())) == len(kinds) == 10
    told = Validated(3, 1.0, math.inf, {"bleu": 2.0}, True, (("a", "b", "c"),), 0.5).as_dict()
    assert told["event"] == "validated"
    assert told["perplexity"] == "inf"
    assert told["examples"] == [["a", "b", "c"]]
    assert Validation(1.0).scores == {}
