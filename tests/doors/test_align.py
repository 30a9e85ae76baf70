"""Word alignments through the door: the best head found without and with gold, the error rate, what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Clearhead


@pytest.fixture(scope="module")
def pairs(toy: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sources, targets and gold of the toy's test set, whose n-th word translates the n-th."""
    folder = tmp_path_factory.mktemp("pairs")
    files = [folder / name for name in ("source", "target", "gold")]
    lines = [(toy.parent / f"test.{side}").read_text(encoding="utf-8").splitlines()[:30] for side in ("src", "tgt")]
    gold = [" ".join(f"{n}-{n}" for n in range(len(line.split()))) for line in lines[0]]
    for file, text in zip(files, [*lines, gold], strict=True):
        file.write_text("".join(f"{line}\n" for line in text), encoding="utf-8")
    return files


def test_words_are_linked_to_what_they_translate(clearhead: Clearhead, finished: Path, pairs: list[Path]) -> None:
    source, target, gold = pairs
    result = clearhead("align", finished, source, target, "--gold", gold, "--tune", 10)
    assert result.exit_code == 0, result.stderr
    assert len(result.stdout.splitlines()) == 30
    assert "read off decoder." in result.stderr and "over 20 pairs" in result.stderr
    found = json.loads(clearhead("align", finished, source, target, "--gold", gold, "--tune", 10, "--json").stdout)
    assert found["chosen_by"] == "error rate" and found["alignment_error_rate"] < 0.15
    assert found["alignments"][0]["source"] == source.read_text(encoding="utf-8").splitlines()[0].split()


def test_without_gold_the_best_attention_is_found_on_validation_pairs(
    clearhead: Clearhead, finished: Path, pairs: list[Path]
) -> None:
    source, target, gold = pairs
    found = json.loads(clearhead("align", finished, source, target, "--gold", gold, "--json").stdout)
    assert (found["chosen_by"], found["tuned_on"]) == ("mutual information", 0)
    assert found["alignment_error_rate"] < 0.15


def test_an_attention_can_be_named(clearhead: Clearhead, finished: Path, pairs: list[Path]) -> None:
    source, target, _ = pairs
    named = ["--attention", "decoder.1.cross", "--head", 2, "--row", "read", "--json"]
    found = json.loads(clearhead("align", finished, source, target, *named).stdout)
    assert (found["attention"], found["head"], found["row"], found["chosen_by"]) == ("decoder.1.cross", 2, "read", None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--head", "1"], "--head 1 of which attention?"),
        (["--attention", "decoder.9.cross"], "no attention 'decoder.9.cross' was seen"),
        (["--attention", "decoder.0.cross", "--head", "9"], "head: expected a number from 0 to 3, got 9"),
        (["--tune", "5"], "expected fewer than the 30 pairs, and gold links for them"),
    ],
)
def test_what_cannot_be_is_refused(
    clearhead: Clearhead, finished: Path, pairs: list[Path], words: list[str], said: str
) -> None:
    result = clearhead("align", finished, *pairs[:2], *words)
    assert result.exit_code == 1 and said in result.stderr


def test_gold_must_fit(clearhead: Clearhead, finished: Path, pairs: list[Path], tmp_path: Path) -> None:
    gold = tmp_path / "gold"
    gold.write_text("0-0\n", encoding="utf-8")
    result = clearhead("align", finished, *pairs[:2], "--gold", gold)
    assert result.exit_code == 1 and "expected a line of links for each of the 30 pairs, got 1" in result.stderr
    gold.write_text("0-0\n" * 2 + "0:0\n" + "0-0\n" * 27, encoding="utf-8")
    result = clearhead("align", finished, *pairs[:2], "--gold", gold)
    assert result.exit_code == 1 and f"{gold}:3: expected links such as" in result.stderr.replace("\n", " ")


def test_look_shows_one_translations_words(clearhead: Clearhead, finished: Path, tmp_path: Path) -> None:
    said = clearhead("look", finished, "7 8", "--align")
    assert said.stdout.splitlines() == ["sieben ← 7", "acht ← 8"] and "read off decoder." in said.stderr
    drawn = clearhead("look", finished, "7 $8$", "--align", "--svg", tmp_path / "a.svg", "--png", tmp_path / "a.png")
    assert drawn.exit_code == 0, drawn.stderr
    assert (tmp_path / "a.svg").read_text(encoding="utf-8").startswith("<?xml")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    refused = clearhead("look", finished, "7", "--align", "--layer", 5)
    assert refused.exit_code == 1 and "no attention 'decoder.5.cross' was seen" in refused.stderr


def test_a_map_is_written_as_svg_the_same_twice(clearhead: Clearhead, finished: Path, tmp_path: Path) -> None:
    for name in ("a.svg", "b.svg"):
        drawn = clearhead("look", finished, "7 8", "--layer", 1, "--head", 0, "--svg", tmp_path / name)
        assert drawn.exit_code == 0, drawn.stderr
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
