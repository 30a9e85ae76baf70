"""``clearhead heads`` as a user meets it: the table, JSON, pruning into a run of its own, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from .conftest import Clearhead

FEW = ("--samples", "20", "--examples", "10")


def test_the_table_has_every_head_the_most_important_first(finished: Path, clearhead: Clearhead) -> None:
    result = clearhead("heads", finished, *FEW, "--prune", 2, "--no-keep")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "10 pairs of valid; loss, lower is better"
    assert lines[1].startswith("all heads: ")
    rows = [line for line in lines if line.split()[:1] and line.split()[0].split(".")[0] in ("encoder", "decoder")]
    assert len(rows) == 24
    differences = [float(row.split()[3]) for row in rows]
    assert differences == sorted(differences, reverse=True)
    curve = [line.split()[:1] for line in lines[-2:]]
    assert curve == [["1"], ["2"]]


def test_json_and_a_pruned_run(finished: Path, clearhead: Clearhead, tmp_path: Path) -> None:
    out = tmp_path / "smaller"
    run = shutil.copytree(finished, tmp_path / "run")
    words = ("--metric", "exact_match", "--replace", "mean", "--slopes", "--prune", 3, "--out", out, "--json")
    result = clearhead("heads", run, *FEW, *words)
    assert result.exit_code == 0, result.stderr
    assert f"wrote {run / 'heads.json'}" in result.stderr
    assert json.loads(result.stdout).items() <= json.loads((run / "heads.json").read_text(encoding="utf-8")).items()
    assert not (out / "heads.json").exists()
    table = json.loads(result.stdout)
    assert {
        "data",
        "pairs",
        "metric",
        "higher_is_better",
        "replace",
        "samples",
        "confidence",
        "intact",
        "heads",
        "pruning",
    } == set(table)
    assert (table["pairs"], table["metric"], table["replace"]) == (10, "exact_match", "mean")
    keys = {"name", "head", "score", "difference", "worth", "entropy", "distance", "peak", "slope"}
    assert all(set(head) == keys for head in table["heads"])
    assert [step["removed"] for step in table["pruning"]] == [1, 2, 3]
    assert f"wrote {out}" in result.stderr
    assert clearhead("verify", out).exit_code == 0
    assert clearhead("predict", out, stdin="1 2\n").exit_code == 0


def test_a_folder_that_takes_no_file_is_no_failure(finished: Path, clearhead: Clearhead, tmp_path: Path) -> None:
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    (run / "heads.json").mkdir()  # a rename onto it is refused, to the superuser, too
    result = clearhead("heads", run, *FEW, "--json")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["heads"]) == 24
    assert result.stderr.startswith("the result is not kept for the page: ") and result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--metric", "blue"), "did you mean 'bleu'?"),
        (("--replace", "nothing"), "replace: expected zero or mean, got 'nothing'"),
        (("--out", "x"), "say how many heads to take away with --prune N"),
        (("--prune", "21", *FEW), "expected 0 to 18 heads to prune"),
    ],
)
def test_what_is_wrong_is_one_sentence(
    finished: Path, clearhead: Clearhead, words: tuple[str, ...], sentence: str
) -> None:
    result = clearhead("heads", finished, *words)
    assert result.exit_code == 1
    assert sentence in result.stderr and result.stderr.count("\n") == 1


def test_a_run_without_heads_says_so(clearhead: Clearhead, toy: Path, tmp_path: Path) -> None:
    quick = ("training.updates=3", "training.warmup=1", "model.body=lstm", "model.architecture=encoder-decoder")
    words = [word for change in quick for word in ("--set", change)]
    assert clearhead("train", toy, "--out", tmp_path / "lstm", *words).exit_code == 0
    result = clearhead("heads", tmp_path / "lstm", *FEW, "--prune", 0)
    assert result.exit_code == 0 and "decoder.0.cross 0" in result.stdout


@pytest.mark.parametrize("words", [("--prune", 19), ("--prune", -1), ("--prune", 1, "--out", ".")])
def test_what_cannot_be_pruned_is_refused_before_any_head_is_weighed(
    finished: Path, clearhead: Clearhead, monkeypatch: pytest.MonkeyPatch, words: tuple[object, ...]
) -> None:
    monkeypatch.setattr("clearhead.service.head_importance.Weighing.without", None)
    result = clearhead("heads", finished, *FEW, *words)
    assert result.exit_code == 1
    assert "heads to prune, as each attention keeps one" in result.stderr or "is not empty" in result.stderr


def test_the_name_of_the_data_is_shown_as_it_is(finished: Path, clearhead: Clearhead, tmp_path: Path) -> None:
    folder = tmp_path / "a[red]b"
    folder.mkdir()
    (folder / "s").write_text("1 2\n7\n", encoding="utf-8")
    (folder / "t").write_text("eins zwei\nsieben\n", encoding="utf-8")
    words = ("--data", folder / "s", "--data", folder / "t")
    result = clearhead("heads", finished, *FEW, "--no-keep", *words)
    assert result.exit_code == 0 and "a[red]b" in result.stdout.splitlines()[0], result.stderr
