"""``clearhead train``: statuses, sentences on stderr, nothing on stdout, and signals in mid-training."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

from ..service.toy import write_lines, write_toy
from .conftest import Clearhead, start

LONG = ["--set", "training.updates=100000", "--set", "training.warmup=2", "--set", "training.checkpoint_every=2"]
SHORT = ["--set", "training.updates=4", "--set", "training.warmup=2", "--set", "training.log_every=2"]


def refusal(result: object) -> str:
    """The one line on stderr of a command that failed with status 1 and kept stdout clean."""
    assert (result.exit_code, result.stdout) == (1, "")  # type: ignore[attr-defined]
    *_, last = result.stderr.rstrip("\n").split("\n")  # type: ignore[attr-defined]
    assert last.startswith("clearhead: error: ")
    assert "Traceback" not in result.stderr  # type: ignore[attr-defined]
    return last


def test_progress_goes_to_stderr_and_stdout_stays_empty(clearhead: Clearhead, toy: Path, tmp_path: Path) -> None:
    result = clearhead("train", toy, "--out", tmp_path / "run", *SHORT)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "update 2/4 · loss " in result.stderr
    assert "tokens/s" in result.stderr and "left" in result.stderr
    assert "validation loss" in result.stderr and "BLEU" in result.stderr
    assert "test · 40 pairs · BLEU" in result.stderr
    assert f"kept the last weights · {tmp_path / 'run'}" in result.stderr.replace("best", "last").replace(
        "average", "last"
    )


def test_the_run_goes_under_runs_by_default(
    clearhead: Clearhead, toy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert clearhead("train", toy, *SHORT).exit_code == 0
    assert (tmp_path / "runs" / "toy" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--set", "training.updats=5"], "unknown key training.updats (did you mean 'updates'?)"),
        (["--set", "model.width=33"], "model: width 33 cannot be cut into 4 equal heads"),
        (["--set", "model.width=1099511627776"], "model.width: expected a number ≤ 1048576"),
        (["--set", "model.width=262144", "--set", "model.feedforward=262144"], "GiB to train, but this machine has"),
        (["--set", "nonsense"], "--set nonsense: expected key=value"),
        (["--set", "data.train.source=nowhere.txt"], "nowhere.txt"),
        (["--resume"], "is not a run folder"),
        (["--accept-changes"], "give --resume with it"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_sentence(
    clearhead: Clearhead, toy: Path, tmp_path: Path, words: list[str], said: str
) -> None:
    assert said in refusal(clearhead("train", toy, "--out", tmp_path / "run", *words))


def test_a_missing_recipe_is_refused(clearhead: Clearhead, tmp_path: Path) -> None:
    assert "there is no such recipe file" in refusal(clearhead("train", tmp_path / "no.toml"))


def test_a_folder_is_only_for_resuming(clearhead: Clearhead, finished: Path) -> None:
    assert "expected a recipe file, or a run folder with --resume" in refusal(clearhead("train", finished))


def test_a_run_is_not_overwritten(clearhead: Clearhead, toy: Path, finished: Path) -> None:
    before = (finished / "model.safetensors").read_bytes()
    assert "go on with --resume" in refusal(clearhead("train", toy, "--out", finished))
    assert (finished / "model.safetensors").read_bytes() == before


def test_unequal_line_counts_are_refused_with_both(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = write_toy(tmp_path)
    with (tmp_path / "train.src").open("a") as file:
        file.write("1 2\n")
    sentence = refusal(clearhead("train", recipe, "--out", tmp_path / "run"))
    assert "train.src has 801 lines, but " in sentence and "train.tgt has 800" in sentence


def test_a_run_whose_data_was_refused_can_be_begun_again(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = write_toy(tmp_path)
    good = (tmp_path / "valid.tgt").read_bytes()
    (tmp_path / "valid.tgt").write_bytes(good + b"eins\n")
    refusal(clearhead("train", recipe, "--out", tmp_path / "run", *SHORT))
    (tmp_path / "valid.tgt").write_bytes(good)
    words = [*SHORT, "--set", "tokenizer.shared=true"]  # what was prepared for another recipe must not be used
    assert clearhead("train", recipe, "--out", tmp_path / "run", *words).exit_code == 0
    assert [path.name for path in (tmp_path / "run" / "tokenizer").iterdir()] == ["shared.json"]


def test_a_folder_with_a_recipe_of_ones_own_is_no_failed_run(clearhead: Clearhead, toy: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("# precious")
    assert "is not empty" in refusal(clearhead("train", toy, "--out", tmp_path))
    assert (tmp_path / "recipe.toml").read_text() == "# precious"


def test_invalid_utf8_is_refused_with_file_and_line(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = write_toy(tmp_path)
    lines = (tmp_path / "train.src").read_bytes().split(b"\n")
    lines[41] = b"1 \xff 2"
    (tmp_path / "train.src").write_bytes(b"\n".join(lines))
    assert "train.src:42: " in refusal(clearhead("train", recipe, "--out", tmp_path / "run"))


def test_an_empty_corpus_is_refused(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = write_toy(tmp_path)
    write_lines(tmp_path / "train.src", [])
    write_lines(tmp_path / "train.tgt", [])
    refusal(clearhead("train", recipe, "--out", tmp_path / "run"))


def test_a_place_that_cannot_be_written_is_refused(clearhead: Clearhead, toy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert f"{tmp_path / 'file'}" in refusal(clearhead("train", toy, "--out", tmp_path / "file" / "run"))
    assert f"{tmp_path / 'file'}" in refusal(clearhead("train", toy, "--out", tmp_path / "file"))


def test_debug_shows_the_traceback(clearhead: Clearhead, tmp_path: Path) -> None:
    result = clearhead("train", tmp_path / "no.toml", "--debug")
    assert result.exit_code == 1
    assert "Traceback" in result.stderr and "ConfigurationError" in result.stderr


@pytest.mark.parametrize("words", [["train"], ["train", "a", "b"], ["trian"], ["train", "a", "--nope"]])
def test_wrong_usage_is_status_2(clearhead: Clearhead, words: list[str]) -> None:
    result = clearhead(*words)
    assert (result.exit_code, result.stdout) == (2, "")


def wait_for(path: Path, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    """Wait until something matching appears; fail early when the process has ended."""
    end = time.monotonic() + seconds
    while not list(path.parent.glob(path.name)):
        assert process.poll() is None, process.stderr.read() if process.stderr else ""
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.05)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_is_saved(tmp_path: Path, number: signal.Signals, status: int) -> None:
    recipe, out = write_toy(tmp_path / "data"), tmp_path / "run"
    process = start("train", recipe, "--out", out, *LONG)
    wait_for(out / "checkpoints" / "update-*", process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (status, b"")
    assert b"everything is saved; go on with: clearhead train" in stderr
    assert b"Traceback" not in stderr

    folders = sorted((out / "checkpoints").glob("update-*"))
    reached = int(folders[-1].name.removeprefix("update-"))
    assert f"stopped after update {reached}," in stderr.decode()


def test_an_interrupted_run_finishes_like_one_never_stopped(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = write_toy(tmp_path / "data")
    words = ["--set", "training.updates=60", "--set", "training.checkpoint_every=5"]
    assert clearhead("train", recipe, "--out", tmp_path / "whole", *words).exit_code == 0
    process = start("train", recipe, "--out", tmp_path / "halves", *words)
    wait_for(tmp_path / "halves" / "checkpoints" / "update-*", process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    if process.returncode == 130:  # a very quick machine may have finished first, and that is right, too
        assert clearhead("train", tmp_path / "halves", "--resume").exit_code == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "halves")]
    assert weights[0] == weights[1]
    report = json.loads((tmp_path / "halves" / "report.json").read_text())
    assert report["training"]["updates"] == 60
