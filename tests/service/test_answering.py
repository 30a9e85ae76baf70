"""How an imported model answers: what its settings for generation say, and what of them is not heeded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clearhead.cli.import_ import ImportOptions, import_
from clearhead.errors import ConfigurationError, RunError
from clearhead.service.answering import unheeded
from clearhead.service.import_pretrained import import_run, take

from .imported import published


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    for family in ("t5", "gpt2"):
        published(family, folder / family)
    return folder


def answers(folder: Path, **settings: Any) -> dict[str, Any]:
    (folder / "generation_config.json").write_text(json.dumps(settings), encoding="utf-8")
    table: dict[str, Any] = take(folder).recipe.as_table()["decoding"]
    return table


def test_beams_as_the_settings_have_them(folders: Path) -> None:
    found = answers(
        folders / "t5",
        num_beams=4,
        max_length=142,
        min_length=56,
        length_penalty=2.0,
        early_stopping=True,
        no_repeat_ngram_size=3,
        forced_eos_token_id=1,
    )
    wanted = {"beam": 4, "max_length": 142, "min_length": 55, "length_penalty": 2.0, "no_repeat_ngram": 3}
    wanted |= {"beam_rule": "first", "end_at_limit": True, "max_extra": 142, "max_ratio": 1000.0}
    assert wanted.items() <= found.items()


def test_nothing_said_is_greedy_search_of_bounded_length(folders: Path) -> None:
    found = answers(folders / "t5")
    wanted = {"beam": 1, "min_length": 0, "no_repeat_ngram": 0, "beam_rule": "steady", "end_at_limit": False}
    assert wanted.items() <= found.items()
    assert found["max_length"] == 256


def test_draws_as_the_settings_have_them(folders: Path) -> None:
    given = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "max_new_tokens": 40, "early_stopping": "never"}
    found = answers(folders / "gpt2", **given)
    wanted = {"temperature": 0.6, "top_p": 0.9, "top_k": 50, "max_length": 40, "beam_rule": "patient"}
    assert wanted.items() <= found.items()
    assert answers(folders / "gpt2")["temperature"] == 0.8  # the house's own, where the model says nothing


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"do_sample": False}, {"sample": False, "beam": 1}),
        ({"num_beams": 4, "min_new_tokens": 3}, {"sample": False, "beam": 4, "min_length": 3, "length_penalty": 1.0}),
        ({"num_beams": 2, "do_sample": True}, {"sample": True, "temperature": 1.0}),
    ],
)
def test_a_decoder_that_is_not_to_draw_searches(folders: Path, given: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert wanted.items() <= answers(folders / "gpt2", **given).items()


@pytest.mark.parametrize(
    ("family", "setting", "reason"),
    [
        ("t5", {"early_stopping": "soon"}, "early_stopping: expected true, false or \"never\", got 'soon'"),
        ("t5", {"min_length": -1}, "min_length: expected a whole number from 0 to 1048576, got -1"),
        ("t5", {"no_repeat_ngram_size": 1.5}, "no_repeat_ngram_size: expected a whole number"),
        ("t5", {"length_penalty": -1.0}, "length_penalty: expected a number from 0 to 10, got -1.0"),
        ("gpt2", {"do_sample": True, "temperature": 0}, "temperature: expected a number from 1e-06 to 1e+06, got 0"),
        ("gpt2", {"do_sample": True, "temperature": 1e7}, "temperature: expected a number from 1e-06 to 1e+06"),
        ("gpt2", {"do_sample": True, "top_p": 2.0}, "top_p: expected a number from 1e-06 to 1, got 2.0"),
    ],
)
def test_impossible_values_are_named(folders: Path, family: str, setting: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        answers(folders / family, **setting)
    assert str(caught.value).startswith(f"{folders / family / 'generation_config.json'}: {reason}")


def test_what_one_kind_of_model_heeds_and_another_does_not_is_told(folders: Path) -> None:
    for family, given in (("gpt2", {"min_length": 4}), ("t5", {"do_sample": True})):
        answers(folders / family, **given)
        taken = take(folders / family)
        assert unheeded(taken.source.directory, taken.config) == given
        (folders / family / "generation_config.json").unlink()


def test_what_is_not_heeded_is_told(folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers(folders / "gpt2", repetition_penalty=1.3, typical_p=1.0)
    import_(ImportOptions(folders / "gpt2", tmp_path / "run"))
    told = capsys.readouterr().err
    assert "without repetition_penalty = 1.3, which is not done here" in told
    assert "typical_p" not in told


def test_what_cannot_be_written_leaves_nothing(folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    answers(folders / "t5")
    with monkeypatch.context() as patch:
        patch.setattr("clearhead.service.import_pretrained.replace_file", full)
        with pytest.raises(RunError, match="No space left"):
            import_run(folders / "t5", tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())
    import_run(folders / "t5", tmp_path / "run")


def pooling(folder: Path, **settings: Any) -> str:
    (folder / "1_Pooling").mkdir(exist_ok=True)
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    found: str = take(folder).recipe.as_table()["embedding"]["pooling"]
    return found


def test_vectors_are_pooled_as_sentence_transformers_settings_say(tmp_path: Path) -> None:
    published("bert", folder := tmp_path / "bert")
    assert take(folder).recipe.as_table()["embedding"]["pooling"] == "mean"
    several = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False, "word_embedding_dimension": 32}
    assert pooling(folder, **several) == "first"
    assert pooling(folder, pooling_mode="mean") == "mean"
    with pytest.raises(ConfigurationError, match=r"config\.json: expected one pooling of .*, got max_tokens"):
        pooling(folder, pooling_mode_max_tokens=True)
    with pytest.raises(ConfigurationError, match=r"expected one pooling of .*, got cls_token, mean_tokens"):
        pooling(folder, pooling_mode_cls_token=True, pooling_mode_mean_tokens=True)


def test_a_module_behind_the_pooling_that_changes_vectors_is_refused(tmp_path: Path) -> None:
    published("bert", folder := tmp_path / "bert")
    (folder / "2_Normalize").mkdir()
    assert pooling(folder, pooling_mode_mean_tokens=True) == "mean"
    (folder / "2_Dense").mkdir()
    with pytest.raises(ConfigurationError, match="2_Dense: expected only Transformer, Pooling, Normalize"):
        take(folder)
