"""A language model as a user meets it: trained, asked, scored and looked at through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ..service.verse import VERSE, write_verse
from .conftest import Clearhead


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, clearhead: Clearhead) -> Path:
    recipe = write_verse(tmp_path_factory.mktemp("verse"))
    result = clearhead("train", recipe, "--out", recipe.parent / "run")
    assert result.exit_code == 0, result.stderr
    return recipe.parent / "run"


def test_prompts_in_texts_out(run: Path, clearhead: Clearhead) -> None:
    prompts = 'two house\n\n{"prompt": "alike in dignity,\\nin fair"}\n'
    result = clearhead("predict", run, "--beam", 1, "--max-length", 20, stdin=prompts)
    assert result.exit_code == 0, result.stderr
    first, _, last = result.stdout.removesuffix("\n").split("\n")
    assert first == VERSE[:29] and last.startswith("alike in dignity, in fair verona, where we")


def test_json_says_all(run: Path, clearhead: Clearhead) -> None:
    result = clearhead("predict", run, "--json", "--n-best", 2, "--seed", 1, "--max-length", 5, stdin="two\n")
    (answer,) = map(json.loads, result.stdout.splitlines())
    assert answer["input"] == "two" and len(answer["n_best"]) == 2 and answer["unread"] == 0
    assert answer["text"] == "two" + answer["continuation"] and len(answer["pieces"]) == 5


def test_scores_as_text_and_as_json(run: Path, clearhead: Clearhead, tmp_path: Path) -> None:
    result = clearhead("evaluate", run)
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [
        "perplexity",
        "bits_per_byte",
        "bits_per_character",
    ]
    (tmp_path / "other.txt").write_text(VERSE)
    found = json.loads(clearhead("evaluate", run, "--data", tmp_path / "other.txt", "--json").stdout)
    assert found["documents"] == 1 and found["characters"] == len(VERSE)
    assert found["scores"]["bits_per_byte"] < 1


def test_looking_and_verifying(run: Path, clearhead: Clearhead) -> None:
    assert clearhead("look", run, "two house", "--text").exit_code == 0
    result = clearhead("verify", run)
    assert result.exit_code == 0, result.stdout + result.stderr


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no text to score"),
        (b"good\n\xff\n", "other.txt:2: invalid UTF-8"),
        (b"nul\0\n", "other.txt:1: a NUL character"),
    ],
)
def test_bad_text_is_one_sentence(content: bytes, said: str, run: Path, clearhead: Clearhead, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_bytes(content)
    result = clearhead("evaluate", run, "--data", tmp_path / "other.txt")
    assert result.exit_code == 1 and said in result.stderr
    assert result.stdout == "" and len(result.stderr.strip().split("\n")) == 1
