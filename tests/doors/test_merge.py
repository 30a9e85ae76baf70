"""Merging an adapter through the door: what is no adapter, and a model that it was not trained for, in one sentence."""

from __future__ import annotations

from pathlib import Path

from ..service.test_finetuning import LORA, QUICK, tagging
from ..service.toy_tags import write_toy_tags
from .conftest import Clearhead


def test_an_adapter_is_merged_with_its_own_model_only(clearhead: Clearhead, tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("other", 2)):
        recipe = write_toy_tags(tmp_path / name)
        settings = [part for each in (*QUICK, f"seed={seed}") for part in ("--set", each)]
        assert clearhead("train", recipe, "--out", tmp_path / f"run-{name}", *settings).exit_code == 0
    recipe = tagging(tmp_path / "data", tmp_path / "run-one")
    settings = [part for each in (*QUICK, *LORA) for part in ("--set", each)]
    done = clearhead("train", recipe, "--out", tmp_path / "adapted", *settings)
    assert done.exit_code == 0 and "are trained" in done.stderr
    adapter = tmp_path / "adapted" / "adapter.safetensors"
    refused = clearhead("merge", adapter, "--from", tmp_path / "run-other", "--out", tmp_path / "no")
    assert refused.exit_code == 1
    assert "was trained for weights with SHA-256" in refused.stderr
    assert clearhead("merge", adapter, "--from", tmp_path / "run-one", "--out", tmp_path / "merged").exit_code == 0
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("adapted", "merged")]
    assert weights[0] == weights[1]
    missing = clearhead("merge", tmp_path / "none.safetensors", "--from", tmp_path / "run-one", "--out", tmp_path / "x")
    assert (missing.exit_code, missing.stderr.count("\n")) == (1, 1)
