"""A recipe is read, overridden and refused: each refusal is one sentence with file, key, expectation and offer."""

from __future__ import annotations

from pathlib import Path

import pytest

from clearhead.errors import ConfigurationError
from clearhead.recipes.read import MAX_BYTES, read_recipe

SMALL = """
task = "translation"
seed = 3

[data]
folder = "text"
train = { source = "a", target = "b" }

[training]
updates = 20
warmup = 4
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def refusal(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_recipe(path, overrides)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def test_what_is_written_is_read_and_the_rest_has_defaults(recipe: Path) -> None:
    read = read_recipe(recipe)
    assert (read.seed, read.training.updates, read.training.warmup, read.model.width) == (3, 20, 4, 128)


def test_the_data_folder_is_relative_to_the_recipe(recipe: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert read_recipe(recipe).data.folder == str(recipe.parent / "text")


def test_an_overridden_data_folder_is_relative_to_the_current_folder(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert read_recipe(recipe, ["data.folder=elsewhere"]).data.folder == str(tmp_path / "here" / "elsewhere")


@pytest.mark.parametrize(
    ("override", "table", "key", "value"),
    [
        ("training.updates=500", "training", "updates", 500),
        ("training.learning_rate = 2e-3", "training", "learning_rate", 0.002),
        ("training.betas=[0.8, 0.99]", "training", "betas", (0.8, 0.99)),
        ("training.schedule=constant", "training", "schedule", "constant"),
        ('tokenizer.kind="words"', "tokenizer", "kind", "words"),
        ("tokenizer.lowercase=true", "tokenizer", "lowercase", True),
        ("decoding.beam=2", "decoding", "beam", 2),
    ],
)
def test_overrides_are_toml_values_or_bare_words(
    recipe: Path, override: str, table: str, key: str, value: object
) -> None:
    assert getattr(getattr(read_recipe(recipe, [override]), table), key) == value


def test_the_last_override_wins(recipe: Path) -> None:
    assert read_recipe(recipe, ["seed=1", "seed=2"]).seed == 2


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.updats=3", "unknown key training.updats (did you mean 'updates'?)"),
        ("updates=3", "unknown key updates (did you mean 'training.updates'?)"),
        ("modle.width=64", "unknown key modle (did you mean 'model'?)"),
        ("qqq=1", "unknown key qqq"),
        ("training.updates=many", 'training.updates: expected a whole number, got "many"'),
        ("training.updates=3.5", "training.updates: expected a whole number, got 3.5"),
        ("training.updates=0", "training.updates: expected a number ≥ 1, got 0"),
        ("model.dropout=1.0", "model.dropout: expected a number < 1.0, got 1.0"),
        ("model.dropout=nan", "model.dropout: expected a finite number, got NaN"),
        ("tokenizer.shared=1", "tokenizer.shared: expected true or false, got 1"),
        (
            "tokenizer.kind=bep",
            "tokenizer.kind: expected one of 'bpe', 'unigram', 'characters', 'words' or 'bytes', got \"bep\"",
        ),
        ("data.train=3", "data.train: expected a table of settings, got 3"),
        ("data.train.source=7", "data.train.source: expected a string, got 7"),
        ("task=translatoin", "got \"translatoin\" (did you mean 'translation'?)"),
        ("task=7", 'task: expected one of "translation", '),
        ("training.watch=blue", "training.watch: expected one of loss, bleu, chrf, multi_bleu_lowercased, exact_match"),
        ("training.watch=blue", "got 'blue' (did you mean 'bleu'?)"),
        ("model.architecture=encoder", 'the task translation needs "encoder-decoder", got architecture = "encoder"'),
        ("model.width=1099511627776", "model.width: expected a number ≤ 1048576, got 1099511627776"),
        ("model.encoder_layers=1000000000", "model.encoder_layers: expected a number ≤ 1024, got 1000000000"),
        ("model.width=130", "model: width 130 cannot be cut into 4 equal heads"),
        ("model.source_vocabulary=9", "model: source_vocabulary is counted from the tokenizer"),
        (
            "tokenizer.shared=false",
            'model.tie = "all" needs one vocabulary for both sides, but tokenizer.shared = false',
        ),
    ],
)
def test_refusals_say_key_expectation_and_offer(recipe: Path, override: str, said: str) -> None:
    sentence = refusal(recipe, override)
    assert said in sentence
    assert sentence.startswith(f"{recipe} with --set: ")


def test_the_model_must_have_room_for_the_longest_pair(recipe: Path) -> None:
    sentence = refusal(recipe, "model.max_positions=200", "data.max_length=201")
    assert "data.max_length = 201 lets longer sequences in than model.max_positions = 200" in sentence


def test_several_faults_are_counted_and_named(recipe: Path) -> None:
    sentence = refusal(recipe, "seed=-1", "model.heads=0", "training.clip=x")
    assert "seed: expected a number ≥ 0, got -1; and 2 more: model.heads, training.clip" in sentence


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text('task = "translation"\n')
    assert refusal(tmp_path / "r.toml") == f"{tmp_path / 'r.toml'}: the key data.train is missing"


@pytest.mark.parametrize("override", ["", "=3", "training", "training.=3", ".x=1"])
def test_an_override_is_key_and_value(recipe: Path, override: str) -> None:
    assert f"--set {override}: expected key=value" in refusal(recipe, override)


def test_an_override_cannot_go_below_a_value(recipe: Path) -> None:
    assert "--set seed.x=1: seed holds a value, not a table" in refusal(recipe, "seed.x=1")


def test_an_override_cannot_smuggle_a_second_key(recipe: Path) -> None:
    assert "training.updates: expected a whole number" in refusal(recipe, "training.updates=1\nseed = 9")


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    assert "there is no such recipe file" in refusal(tmp_path / "none.toml")


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    assert "cannot be read as a recipe" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"task = ", "this is not valid TOML"),
        (b"task = 'a'\ntask = 'b'", "this is not valid TOML"),
        (b"# \xff", "byte 2 is not valid UTF-8"),
        (b"a = " + b"[" * 5000, "this is not valid TOML"),
        (b"#" * (MAX_BYTES + 1), "the file is larger"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "r.toml").write_bytes(content)
    assert said in refusal(tmp_path / "r.toml")


def test_a_byte_order_mark_is_no_obstacle(recipe: Path) -> None:
    recipe.write_bytes(b"\xef\xbb\xbf" + recipe.read_bytes())
    assert read_recipe(recipe).seed == 3
