"""``clearhead export`` as a user meets it: one sentence where no family has such a model, and nothing left behind."""

from __future__ import annotations

from pathlib import Path

from .conftest import Clearhead


def test_a_model_that_no_family_has_is_refused_with_what_is_in_the_way(
    clearhead: Clearhead, finished: Path, tmp_path: Path
) -> None:
    result = clearhead("export", finished, "--to", "huggingface", "--out", tmp_path / "out")
    assert result.exit_code == 1 and result.stdout == ""
    assert "no family of published models has this one; marian comes nearest, but norm_order must be" in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_targets_and_families_are_named(clearhead: Clearhead, finished: Path, tmp_path: Path) -> None:
    result = clearhead("export", finished, "--to", "hugging-face", "--out", tmp_path / "out")
    assert result.exit_code == 1 and "(did you mean 'huggingface'?)" in result.stderr
    result = clearhead("export", finished, "--to", "huggingface", "--family", "bort", "--out", tmp_path / "out")
    assert result.exit_code == 1 and "got 'bort' (did you mean 'bert'?)" in result.stderr
    assert clearhead("export", finished).exit_code == 2
