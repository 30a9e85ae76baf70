"""Tagging and labelling vectors through the doors: train, predict, evaluate, look; and input that is broken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import clearhead as face

from ..service.toy_tags import tags, write_sentences, write_toy_tags
from .conftest import Clearhead

VECTORS = """
task = "vector-{kind}"

[data]
max_length = 4
train = {{ file = "train.npz", vectors = "x", labels = "y" }}
valid = {{ file = "valid.npz", vectors = "x", labels = "y" }}

[model]
width = 16
encoder_layers = 1
heads = 2
feedforward = 16
max_positions = 4
dropout = 0.0

[training]
updates = 40
learning_rate = 0.01
warmup = 5
label_smoothing = 0.0
precision = "float32"
threads = 1
validate_every = 20
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_toy_tags(tmp_path_factory.mktemp("tags"))


@pytest.fixture(scope="module")
def tagger(recipe: Path, clearhead: Clearhead) -> Path:
    """A run trained through the door; not to be changed."""
    result = clearhead("train", recipe, "--out", recipe.parent / "run")
    assert result.exit_code == 0, result.stderr
    return recipe.parent / "run"


def test_it_learns_the_rule(tagger: Path) -> None:
    report = json.loads((tagger / "report.json").read_text())
    assert report["scores"]["test"]["accuracy"] >= 99
    assert report["scores"]["test"]["span_f1"] >= 99
    assert report["data"]["tags"] == ["B-N", "I-N", "O"]


def test_lines_in_lines_out(clearhead: Clearhead, tagger: Path) -> None:
    result = clearhead("predict", tagger, stdin="thirty two and forty\n\n  \nand\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "B-N I-N O B-N\n\n\nO\n"


def test_a_json_list_is_a_sentence_whose_words_may_hold_spaces(clearhead: Clearhead, tagger: Path) -> None:
    result = clearhead("predict", tagger, "--json", stdin='["forty", "two", "a nd"]\n[ and\n')
    first, second = (json.loads(line) for line in result.stdout.splitlines())
    assert first["input"] == ["forty", "two", "a nd"]
    assert first["tags"][:2] == ["B-N", "I-N"] and len(first["probabilities"]) == 3
    assert (
        first["spans"][0] | {"text": ""} == {"type": "N", "start": 0, "stop": 2, "text": ""} or first["tags"][2] != "O"
    )
    assert second["input"] == ["[", "and"]


def test_a_long_line_is_read_in_parts_and_every_word_gets_its_tag(clearhead: Clearhead, tagger: Path) -> None:
    result = clearhead("predict", tagger, "--json", stdin="and " * 100 + "\n")
    answer = json.loads(result.stdout)
    assert len(answer["tags"]) == 100 and answer["parts"] == 9


def test_evaluate_says_all_there_is_to_say(clearhead: Clearhead, tagger: Path) -> None:
    result = clearhead("evaluate", tagger)
    assert [line.split("\t")[0] for line in result.stdout.splitlines()] == [
        "accuracy", "macro_f1", "span_f1", "span_precision", "span_recall"
    ]  # fmt: skip
    table = json.loads(clearhead("evaluate", tagger, "--json").stdout)
    assert table["sentences"] == 40 and table["spans"]["N"]["support"] > 10 and table["unseen_tags"] == {}


def test_evaluate_on_other_data(clearhead: Clearhead, tagger: Path, tmp_path: Path) -> None:
    write_sentences(tmp_path / "x.tsv", [["thirty", "two"], ["seven", "and"]])
    table = json.loads(clearhead("evaluate", tagger, "--data", tmp_path / "x.tsv", "--json").stdout)
    assert (table["words"], table["unknown_words"]) == (4, 1)
    assert table["scores"]["unknown_accuracy"] in (0.0, 100.0)


def test_a_tag_that_training_never_saw_is_a_mistake_and_is_told(
    clearhead: Clearhead, tagger: Path, tmp_path: Path
) -> None:
    (tmp_path / "x.tsv").write_text("forty\tB-N\nand\tB-NEW\n")
    table = json.loads(clearhead("evaluate", tagger, "--data", tmp_path / "x.tsv", "--json").stdout)
    assert table["scores"]["accuracy"] == 50.0
    assert table["unseen_tags"] == {"B-NEW": 1}
    plain = clearhead("evaluate", tagger, "--data", tmp_path / "x.tsv")
    assert "training never saw these wanted labels, so they count as mistakes: 'B-NEW' (1)" in plain.stderr
    (tmp_path / "y.tsv").write_text("one\tB-OTHER\n")
    result = clearhead("evaluate", tagger, "--data", tmp_path / "y.tsv")
    assert result.exit_code == 1
    assert "training has seen none of the tags of this data, such as 'B-OTHER'" in result.stderr


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.tsv", "one\tB-N\ntwo\n", "x.tsv:2: not two columns (expected token, tab, tag; got no tab)"),
        ("x.tsv", "one\tNUM\n", "x.tsv:1: a tag that marks no span"),
        ("x.conllu", "1\tone\t_\tB-N\t_\t_\t0\troot\t_\n", "x.conllu:1: not ten columns"),
        ("x.tsv", "\n", "x.tsv: there is no tagged sentence to score"),
        ("x.csv", "one,B-N\n", "cannot tell what"),
    ],
)
def test_broken_data_is_one_sentence_with_file_and_line(
    clearhead: Clearhead, tagger: Path, tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_text(content)
    result = clearhead("evaluate", tagger, "--data", tmp_path / name)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert said in result.stderr


def test_broken_training_data_is_refused_before_training_or_skipped_and_counted(
    clearhead: Clearhead, recipe: Path, tmp_path: Path
) -> None:
    write_toy_tags(tmp_path)
    with (tmp_path / "train.tsv").open("a") as file:
        file.write("\none two\n")
    lines = (tmp_path / "train.tsv").read_text().count("\n")
    result = clearhead("train", tmp_path / "tags.toml", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert f"train.tsv:{lines}: not two columns (expected token, tab, tag; got no tab; are there" in result.stderr
    write_sentences(tmp_path / "test.tsv", [["twenty", "one"], ["cats"]])
    with (tmp_path / "test.tsv").open("a") as file:
        file.write("\nforty two\n")
    short = ["--set", "data.bad_lines=skip", "--set", "training.updates=12", "--set", "training.validate_every=12"]
    result = clearhead("train", tmp_path / "tags.toml", "--out", tmp_path / "run", *short)
    assert result.exit_code == 0, result.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert (report["scores"]["test"]["sentences"], report["scores"]["test"]["skipped"]) == (2, 1)
    ledger = report["data"]["ledger"]
    assert ledger["dropped"]["not two columns"] == {"count": 1, "first": [f"train.tsv:{lines}"]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("model.pooling=mean", "model.pooling: tagging gives every word its tag: expected \"none\", got 'mean'"),
        ("model.ngram_buckets=9", "follow from input; leave them out"),
        ("data.max_length=13", "data.max_length = 13 lets longer sentences in"),
        ("input.buckets=1", "input: buckets = 1 would make all n-grams the same"),
        ("input.kind=pieces", 'input: buckets is about whole words, but kind = "pieces"'),
        ("tokenizer.kind=bpe", "tokenizer: whole words are not cut"),
        ("data.column=xpos", "column = 'xpos' is about CoNLL-U"),
        ("data.schema=bio", "unknown key data.schema (did you mean 'scheme'?)"),
        ("model.normalizer=sparsmax", "(did you mean 'sparsemax'?)"),
        ("model.score=biliner", "(did you mean 'bilinear'?)"),
        ("training.watch=bleu", "training.watch: expected one of loss, accuracy"),
    ],
)
def test_what_cannot_work_is_said_before_training(clearhead: Clearhead, recipe: Path, change: str, said: str) -> None:
    result = clearhead("train", recipe, "--out", recipe.parent / "never", "--set", change)
    assert result.exit_code == 1
    assert said in result.stderr
    assert not (recipe.parent / "never").exists()


def test_verify_knows_a_model_that_reads_ngrams(clearhead: Clearhead, tagger: Path) -> None:
    result = clearhead("verify", tagger)
    assert result.exit_code == 0, result.stdout
    assert "encoder.0.self" in result.stdout


def test_look_shows_the_words(clearhead: Clearhead, tagger: Path) -> None:
    result = clearhead("look", tagger, "forty two and", "--text")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("forty two and\nB-N I-N O\n")


def test_an_lstm_tags_too_and_has_no_attention_to_look_at(clearhead: Clearhead, recipe: Path, tmp_path: Path) -> None:
    quick = ["--set", "model.body=lstm", "--set", "training.updates=12", "--set", "training.validate_every=12"]
    result = clearhead("train", recipe, "--out", tmp_path / "run", *quick)
    assert result.exit_code == 0, result.stderr
    assert len(clearhead("predict", tmp_path / "run", stdin="forty two and\n").stdout.split()) == 3
    result = clearhead("look", tmp_path / "run", "forty two", "--text")
    assert result.exit_code == 1
    assert "there is no attention to look at: this model's body is 'lstm'" in result.stderr


def test_options_of_translation_are_refused(clearhead: Clearhead, tagger: Path) -> None:
    result = clearhead("predict", tagger, "--beam", 3, stdin="one\n")
    assert result.exit_code == 1
    assert "tagging has no option 'beam'" in result.stderr


def test_from_python(tagger: Path) -> None:
    model = face.load(tagger)
    answers = model.predict([["forty", "two"], "and forty", []])
    assert [answer.tags for answer in answers] == [("B-N", "I-N"), ("O", "B-N"), ()]
    seen = model.inspect("one and two")
    assert seen.source == ("one", "and", "two")
    assert seen.weights("encoder.0.self").shape == (2, 3, 3)
    chosen = model.inspect("one and two", layers=[0], heads=[1], max_full=2)
    assert chosen.tile("encoder.0.self", (0, 2), (0, 3)).shape == (1, 2, 3) and not chosen.is_full("encoder.0.self")
    for wrong, said in ([[["one", 2]], "word 2 should be a string"], [[["one", " "]], "word 2 is blank"]):
        with pytest.raises(face.ClearheadError, match=said):
            model.predict(wrong)
    with pytest.raises(face.ConfigurationError, match="write \\[text\\]"):
        model.predict("one two")


def test_pieces_of_words_learn_it_too(clearhead: Clearhead, recipe: Path, tmp_path: Path) -> None:
    table = recipe.read_text().replace("buckets = 100\nlongest = 2", 'kind = "pieces"')
    table = table.replace("[model]", '[tokenizer]\nvocabulary = 300\n\n[model]\nword_pooling = "mean"')
    table = table.replace("max_length = 12", f'folder = "{recipe.parent}"\nmax_length = 24').replace(
        "max_positions = 12", "max_positions = 24"
    )
    (tmp_path / "pieces.toml").write_text(table)
    result = clearhead("train", tmp_path / "pieces.toml", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert report["scores"]["test"]["accuracy"] >= 95
    words = ["and", "thirty", "two", ",", "cats"]
    answer = clearhead("predict", tmp_path / "run", stdin=" ".join(words) + "\n")
    assert answer.stdout.split() == tags(words)


def vectors(folder: Path, kind: str) -> Path:
    """Sequences of 4 vectors of 3; a vector's label is whether its first number is above 5, a sequence's its mean's."""
    chance = np.random.default_rng(1)
    for name, size in (("train", 400), ("valid", 50)):
        x = chance.normal(size=(size, 4, 3)) * [1.0, 10.0, 0.1] + 5.0
        per_vector = (x[..., 0] > 5.0).astype(int)
        whole = np.where(x[..., 0].mean(1) > 5.0, "yes", "no")
        np.savez(folder / f"{name}.npz", x=x, y=per_vector if kind == "tagging" else whole)
    (folder / "vectors.toml").write_text(VECTORS.format(kind=kind))
    return folder / "vectors.toml"


@pytest.mark.parametrize(("kind", "answer"), [("tagging", "1 0"), ("classification", "yes")])
def test_vectors_are_an_input(clearhead: Clearhead, tmp_path: Path, kind: str, answer: str) -> None:
    run = tmp_path / "run"
    result = clearhead("train", vectors(tmp_path, kind), "--out", run)
    assert result.exit_code == 0, result.stderr
    assert json.loads(clearhead("evaluate", run, "--json").stdout)["scores"]["accuracy"] >= 90
    assert clearhead("predict", run, stdin="[[9, 5, 5], [4, 5, 5]]\n").stdout == answer + "\n"
    for line, said in (
        ("[[1, 2]]", "input 1: vectors of differing width (vector 1 has 2 numbers, expected 3)"),
        ("[[1, NaN, 3]]", "input 1: a number that is not finite (number 2 of vector 1 is nan)"),
        ("one two", "input 1: expected a list of vectors of 3 numbers"),
    ):
        refused = clearhead("predict", run, stdin=line + "\n")
        assert (refused.exit_code, refused.stdout) == (1, "")
        assert said in refused.stderr
    np.savez(tmp_path / "other.npz", x=np.ones((2, 4, 5)), y=np.ones((2, 4) if kind == "tagging" else 2, dtype=int))
    refused = clearhead("evaluate", run, "--data", tmp_path / "other.npz")
    assert refused.exit_code == 1
    assert "other.npz:1: vectors of differing width (the vectors have 5 numbers, expected 3)" in refused.stderr


def test_training_vectors_with_nan_are_refused_with_file_and_row(clearhead: Clearhead, tmp_path: Path) -> None:
    recipe = vectors(tmp_path, "classification")
    x = np.ones((3, 4, 3))
    x[1, 2, 0] = np.nan
    np.savez(tmp_path / "train.npz", x=x, y=np.array([1, 0, 1]))
    result = clearhead("train", recipe, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "train.npz:2: a number that is not finite (number 1 of vector 3 is nan)" in result.stderr
