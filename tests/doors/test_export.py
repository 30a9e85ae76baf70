"""``clearhead export`` as a user meets it: what came in goes out bit by bit, or a sentence says what is in the way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from .conftest import Clearhead
from .test_import import original


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


@pytest.mark.parametrize("name", ["gpt2", "t5", "marian"])
def test_in_and_out_again_every_bit_is_the_same(name: str, clearhead: Clearhead, tmp_path: Path) -> None:
    theirs = original(name, tmp_path / "in")
    for command in (
        ("import", tmp_path / "in", "--out", tmp_path / "run"),
        ("export", tmp_path / "run", "--to", "huggingface", "--out", tmp_path / "out"),
    ):
        result = clearhead(*command)
        assert result.exit_code == 0, result.stderr
    before, after = (load_file(tmp_path / where / "model.safetensors") for where in ("in", "out"))
    assert after.keys() <= before.keys()
    assert all(torch.equal(before[key], tensor) for key, tensor in after.items())
    again = type(theirs).from_pretrained(tmp_path / "out").eval()
    ids = torch.tensor([[11, 500, 7, 23, 901]])
    fed = {} if name == "gpt2" else {"decoder_input_ids": torch.tensor([[3, 44, 5]])}
    with torch.no_grad():
        assert torch.equal(again(ids, **fed).logits, theirs(ids, **fed).logits)
    said = json.loads((tmp_path / "out" / "config.json").read_text())
    for key in ("model_type", "pad_token_id", "eos_token_id", "decoder_start_token_id"):
        if getattr(theirs.config, key, None) is not None:
            assert said[key] == getattr(theirs.config, key), key
    assert ("left out" in result.stderr) == (name == "marian")
