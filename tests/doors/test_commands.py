"""The other commands: recipe, evaluate, account, look, verify; and what all of them share."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from clearhead import __version__
from clearhead.cli.main import COMMANDS
from clearhead.service.load import load

from ..service.toy import translate, write_lines
from .conftest import SRC, Clearhead


@pytest.mark.parametrize("command", [None, *COMMANDS])
def test_every_command_explains_itself(clearhead: Clearhead, command: str | None) -> None:
    result = clearhead(*([command] if command else []), "--help")
    assert (result.exit_code, result.stderr) == (0, "")
    assert "Usage: " in result.stdout
    for name in COMMANDS if command is None else ["--debug"]:
        assert name in result.stdout


def test_the_version_is_told(clearhead: Clearhead) -> None:
    assert clearhead("--version").stdout == f"clearhead {__version__}\n"


def test_help_does_not_load_torch() -> None:
    code = "import sys; from clearhead.cli.main import app; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, check=False).returncode == 0


def test_the_starter_recipe_goes_to_stdout(clearhead: Clearhead) -> None:
    result = clearhead("recipe", "translation")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("# A starter recipe for translation")


def test_an_unknown_task_is_refused(clearhead: Clearhead) -> None:
    result = clearhead("recipe", "translatoin")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "(did you mean 'translation'?)" in result.stderr


def test_evaluate_scores_the_test_set(clearhead: Clearhead, finished: Path) -> None:
    result = clearhead("evaluate", finished)
    assert result.exit_code == 0
    scores = dict(line.split("\t") for line in result.stdout.split("\n")[:-1])
    assert set(scores) == {"bleu", "chrf", "multi_bleu_lowercased", "exact_match"}
    report = json.loads((finished / "report.json").read_text())
    assert float(scores["exact_match"]) == report["scores"]["test"]["exact_match"]
    assert "40 pairs of test" in result.stderr


def test_evaluate_takes_files(clearhead: Clearhead, finished: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "a", ["4", "7 8"])
    write_lines(tmp_path / "b", [translate([4]), "falsch"])
    result = clearhead("evaluate", finished, "--data", tmp_path / "a", "--data", tmp_path / "b", "--json")
    found = json.loads(result.stdout)
    assert (found["pairs"], found["scores"]["exact_match"]) == (2, 50.0)


def test_evaluate_takes_a_table(clearhead: Clearhead, finished: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "t.tsv", ["source\ttarget", f"4\t{translate([4])}"])
    found = json.loads(clearhead("evaluate", finished, "--data", tmp_path / "t.tsv", "--json").stdout)
    assert (found["pairs"], found["scores"]["exact_match"]) == (1, 100.0)


def test_evaluate_decodes_as_told(clearhead: Clearhead, finished: Path) -> None:
    result = clearhead("evaluate", finished, "--max-length", 2, "--json")
    found = json.loads(result.stdout)
    assert found["unfinished"] > 0
    assert (
        found["scores"]["exact_match"]
        < json.loads(clearhead("evaluate", finished, "--json").stdout)["scores"]["exact_match"]
    )
    assert "tok:13a" in found["bleu_signature"]


def test_evaluate_tokenises_as_told(clearhead: Clearhead, finished: Path) -> None:
    assert (
        "tok:zh" in json.loads(clearhead("evaluate", finished, "--tokenize", "zh", "--json").stdout)["bleu_signature"]
    )
    result = clearhead("evaluate", finished, "--tokenize", "zhh")
    assert result.exit_code == 1 and "(did you mean 'zh'?)" in result.stderr


@pytest.mark.parametrize("count", [1, 3])
def test_evaluate_refuses_files_it_cannot_place(
    clearhead: Clearhead, finished: Path, tmp_path: Path, count: int
) -> None:
    (tmp_path / "x").write_text("1\n")
    words = [word for _ in range(count) for word in ("--data", tmp_path / "x")]
    result = clearhead("evaluate", finished, *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "clearhead: error: --data: " in result.stderr


@pytest.mark.parametrize("kind", ["recipe", "run", "preset"])
def test_account_takes_a_recipe_a_run_or_a_preset(clearhead: Clearhead, toy: Path, finished: Path, kind: str) -> None:
    what = {"recipe": toy, "run": finished, "preset": "transformer-base"}[kind]
    shown, data = clearhead("account", what), clearhead("account", what, "--json")
    assert shown.exit_code == data.exit_code == 0
    total = json.loads(data.stdout)["total_parameters"]
    assert f"{total:,}" in shown.stdout


def test_the_account_of_a_run_is_the_models_own(clearhead: Clearhead, finished: Path) -> None:
    total = json.loads(clearhead("account", finished, "--json").stdout)["total_parameters"]
    assert total == sum(parameter.numel() for parameter in load(finished).model.parameters())


def test_account_overrides_vocabulary_and_length(clearhead: Clearhead) -> None:
    tables = [
        json.loads(clearhead("account", "transformer-base", "--vocab", vocab, "--length", length, "--json").stdout)
        for vocab, length in ((1000, 10), (2000, 20))
    ]
    assert tables[1]["total_parameters"] - tables[0]["total_parameters"] == 1000 * 512
    assert [table["length"] for table in tables] == [10, 20]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["transformer-bas"], "expected a recipe file, a run folder, or a preset (transformer-tiny, "),
        (["nothing.toml"], "there is no such recipe file"),
        (["transformer-base", "--length", "0"], "length: expected a number from 1"),
        (["transformer-base", "--vocab", "-5"], "vocabulary: expected a number from 5"),
    ],
)
def test_account_refuses_what_it_cannot_count(clearhead: Clearhead, words: list[str], said: str) -> None:
    result = clearhead("account", *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_look_draws_in_the_terminal(clearhead: Clearhead, finished: Path) -> None:
    result = clearhead("look", finished, "7 8", "--text")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.stdout.split("\n") if line.strip()}
    assert {"sieben", "acht", "end"} <= set(rows)
    assert any(shade in result.stdout for shade in "░▒▓█")


def test_look_takes_its_text_from_stdin(clearhead: Clearhead, finished: Path) -> None:
    assert translate([4]) in clearhead("look", finished, stdin="4\n").stdout


def test_look_gives_every_map_as_json(clearhead: Clearhead, finished: Path) -> None:
    found = json.loads(clearhead("look", finished, "7 8", "--json").stdout)
    assert (found["text"], found["source"][-1], found["target"][-1]) == (translate([7, 8]), "</s>", "</s>")
    assert sorted(found["attention"]) == ["decoder.0.cross", "decoder.1.cross"]
    for heads in found["attention"].values():
        assert [len(heads), len(heads[0]), len(heads[0][0])] == [4, 3, 3]
        assert sum(heads[0][0]) == pytest.approx(1.0, abs=1e-4)


def test_look_writes_a_picture(clearhead: Clearhead, finished: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    result = clearhead("look", finished, "7 $8$", "--png", tmp_path / "a.png", "--layer", 1)
    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_matplotlib_says_what_to_install(
    clearhead: Clearhead, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = clearhead("look", finished, "7 8", "--png", tmp_path / "a.png")
    assert result.exit_code == 1
    assert "pip install 'clearhead[pictures]'" in result.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [(["7", "--layer", "9"], "layer: expected a number from 0 to 1"), (["  "], "the text is empty")],
)
def test_look_refuses_what_is_not_there(clearhead: Clearhead, finished: Path, words: list[str], said: str) -> None:
    result = clearhead("look", finished, *words)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_verify_prints_every_comparison(clearhead: Clearhead, finished: Path) -> None:
    result = clearhead("verify", finished)
    assert result.exit_code == 0
    assert "decoder.1.cross" in result.stdout and "*fused" in result.stdout
    assert "comparisons hold; the largest difference is" in result.stderr


def test_verify_gives_json(clearhead: Clearhead, finished: Path) -> None:
    checks = json.loads(clearhead("verify", finished, "--json").stdout)["checks"]
    assert len(checks) == 20 and all(check["holds"] for check in checks)
