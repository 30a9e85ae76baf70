"""``clearhead predict``: lines in, lines out, whatever the lines are; and JSON that keeps its word."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from ..service.toy import translate
from .conftest import Clearhead, start


def test_lines_in_lines_out(clearhead: Clearhead, finished: Path) -> None:
    result = clearhead("predict", finished, stdin="4\n7 8\n9\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"{translate([4])}\n{translate([7, 8])}\n{translate([9])}\n"


def test_a_file_is_read(clearhead: Clearhead, finished: Path, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("4\n9\n")
    assert clearhead("predict", finished, tmp_path / "in.txt").stdout == f"{translate([4])}\n{translate([9])}\n"


@pytest.mark.parametrize(
    ("given", "lines"),
    [
        (b"", 0),
        (b"\n", 1),
        (b"1\n\n2\n", 3),
        (b"1\n2", 2),
        (b"1\r\n2\r\n", 2),
        ("1\u2028 2\n3\x0c4\n5\x85\n".encode(), 3),
        (b"\xef\xbb\xbf1\n", 1),
        (b"1 2 3\n" * 3000, 3000),
        (b"9 " * 200 + b"\n1\n", 2),
    ],
)
def test_as_many_lines_out_as_in(clearhead: Clearhead, finished: Path, given: bytes, lines: int) -> None:
    result = clearhead("predict", finished, "--beam", 1, stdin=given)
    assert result.exit_code == 0
    assert result.stdout.count("\n") == lines


def test_a_line_ending_or_a_byte_order_mark_changes_nothing(clearhead: Clearhead, finished: Path) -> None:
    assert (
        clearhead("predict", finished, stdin=b"\xef\xbb\xbf4\r\n9\n").stdout == f"{translate([4])}\n{translate([9])}\n"
    )


def test_a_cut_input_is_told_on_stderr(clearhead: Clearhead, finished: Path) -> None:
    result = clearhead("predict", finished, stdin="1\n" + "2 " * 100 + "\n")
    assert result.exit_code == 0
    assert "1 input was longer than the model's 31 pieces and lost the end" in result.stderr


def test_json_has_an_object_a_line(clearhead: Clearhead, finished: Path) -> None:
    result = clearhead("predict", finished, "--json", "--n-best", 2, stdin="4\n\n7 8\n")
    answers = [json.loads(line) for line in result.stdout.split("\n")[:-1]]
    assert [answer["text"] for answer in answers] == [translate([4]), "", translate([7, 8])]
    assert [answer["input"] for answer in answers] == ["4", "", "7 8"]
    best = {"text", "score", "log_probability", "pieces", "token_log_probabilities", "finished", "truncated"}
    assert all(set(answer) == best | {"input", "n_best"} and len(answer["n_best"]) == 2 for answer in answers)


def test_sampling_repeats_with_its_seed(clearhead: Clearhead, finished: Path) -> None:
    words = ["predict", finished, "--sample", "--temperature", 4, "--top-k", 9, "--top-p", 0.9, "--seed"]
    one, same, other = (clearhead(*words, seed, stdin="1 2 3\n" * 20).stdout for seed in (3, 3, 4))
    assert one == same != other


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--beam", "0"], "decoding: beam: expected a number ≥ 1, got 0"),
        (["--n-best", "50"], "n_best 50 results cannot come out of a beam of 2"),
        (["--temperature", "nan"], "decoding: temperature: expected a finite number"),
        (["--top-p", "2"], "decoding: top_p: expected a number ≤ 1.0, got 2.0"),
        (["--max-length", "99999"], "decoding: max_length: this model has room for 32 pieces"),
    ],
)
def test_impossible_options_are_refused(clearhead: Clearhead, finished: Path, words: list[str], said: str) -> None:
    result = clearhead("predict", finished, *words, stdin="1\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_an_option_that_is_no_number_is_wrong_usage(clearhead: Clearhead, finished: Path) -> None:
    assert clearhead("predict", finished, "--beam", "many").exit_code == 2


def test_invalid_utf8_is_refused_with_its_line_after_the_lines_before_it(clearhead: Clearhead, finished: Path) -> None:
    result = clearhead("predict", finished, stdin=b"4\n9\n\xff\n7\n")
    assert (result.exit_code, result.stdout) == (1, f"{translate([4])}\n{translate([9])}\n")
    assert "stdin:3: byte 1 of the line is not valid UTF-8" in result.stderr


@pytest.mark.parametrize("name", ["none.txt", "."])
def test_an_unreadable_file_is_refused(clearhead: Clearhead, finished: Path, tmp_path: Path, name: str) -> None:
    result = clearhead("predict", finished, tmp_path / name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert str(tmp_path / name) in result.stderr


def test_a_folder_that_is_no_run_is_refused(clearhead: Clearhead, tmp_path: Path) -> None:
    result = clearhead("predict", tmp_path, stdin="1\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"clearhead: error: {tmp_path} is not a run folder: it has no recipe.toml\n"


def test_a_pipe_gets_each_answer_before_the_next_question(finished: Path) -> None:
    process = start("predict", finished, stdin=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    for number in (4, 9):
        process.stdin.write(f"{number}\n".encode())
        process.stdin.flush()
        assert process.stdout.readline() == f"{translate([number])}\n".encode()
    process.communicate(timeout=30)
    assert process.returncode == 0


def test_a_reader_that_leaves_early_is_no_error(finished: Path) -> None:
    process = start("predict", finished, "--beam", 1, stdin=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    os.close(os.dup(process.stdout.fileno()))
    process.stdin.write(b"4\n")
    process.stdin.flush()
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write(b"1 2\n" * 2000)
    process.stdin.close()
    assert process.wait(timeout=60) == 0
    assert process.stderr.read() == b""
