"""Starting from another run: what is taken over, what is refused, self-contained folders, adapters alone and merged."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clearhead.errors import ConfigurationError, DataError, RunError
from clearhead.recipes.read import read_recipe
from clearhead.service.adapter import merge_adapter
from clearhead.service.load import load
from clearhead.service.prune import prune_run
from clearhead.service.start import complete, inherit
from clearhead.service.train import train

from .toy import write_toy
from .toy_labels import write_toy_labels
from .toy_tags import write_toy_tags

QUICK = ["training.updates=8", "training.warmup=2", "training.validate_every=4", "training.checkpoint_every=2"]
QUICK += ["training.log_every=1", "training.snapshot_every=2", "training.keep=last"]
LORA = ["model.lora.rank=2", "model.lora.targets=['query', 'value', 'feedforward']", "model.lora.dropout=0.1"]


def tagging(folder: Path, origin: Path) -> Path:
    """A recipe of tags that starts from ``origin``: whatever that decides is left out."""
    path = write_toy_tags(folder)
    data, training = path.read_text().partition("[input]")[0], path.read_text().partition("[training]")[2]
    path.write_text(f'{data}\n[model]\nfrom = "{origin}"\ndropout = 0.1\n\n[training]{training}', encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tagger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of tags, of words with n-grams."""
    out = tmp_path_factory.mktemp("tagger") / "run"
    list(train(read_recipe(write_toy_tags(out.parent / "data"), QUICK), out))
    return out


@pytest.fixture(scope="module")
def from_translator(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The recipe of a tagger over a translator's encoder; the source has digits only, so words are unknown to it."""
    return tagging(tmp_path_factory.mktemp("tags"), finished)


def test_a_taggers_encoder_is_the_translators(finished: Path, from_translator: Path, tmp_path: Path) -> None:
    """With all but the head frozen, what was taken over is there to the bit at the end, under the same names."""
    recipe = read_recipe(from_translator, [*QUICK, "training.freeze=['encoder']"])
    list(train(recipe, tmp_path / "run"))
    before, after = load_file(finished / "model.safetensors"), load_file(tmp_path / "run" / "model.safetensors")
    encoder = {name for name in after if name.startswith("encoder.")}
    assert encoder and all(torch.equal(before[name], after[name]) for name in encoder)
    config = load(tmp_path / "run").config
    assert (config.architecture, config.encoder_layers, config.width) == ("encoder", 2, 32)
    assert load(tmp_path / "run").predict([["1", "2", "x"]])[0].tags


def test_the_run_stands_alone(from_translator: Path, finished: Path, tmp_path: Path) -> None:
    """Begun and stopped before any checkpoint, with the model it started from gone: it goes on, and predicts."""
    origin = Path(shutil.copytree(finished, tmp_path / "origin"))
    recipe = read_recipe(from_translator, [*QUICK, f"model.from={origin}"])
    whole = list(train(recipe, tmp_path / "whole"))
    events = train(recipe, tmp_path / "halves")
    list(itertools.takewhile(lambda event: event.kind != "progressed", events))
    events.close()
    shutil.rmtree(origin)
    assert (tmp_path / "halves/start/model.safetensors").is_file()
    rest = list(train(tmp_path / "halves" / "recipe.toml", tmp_path / "halves", resume=True))
    assert rest[-1].kind == whole[-1].kind == "finished"
    assert rest[-1].sha256 == whole[-1].sha256  # type: ignore[attr-defined]
    assert [path.name for path in (tmp_path / "halves" / "start").iterdir()] == ["start.json"]
    moved = shutil.move(tmp_path / "halves", tmp_path / "elsewhere")
    assert load(moved).predict([["one", "two"]])[0].tags


def test_resumed_equals_never_stopped_with_adapters(from_translator: Path, tmp_path: Path) -> None:
    recipe = read_recipe(from_translator, [*QUICK, *LORA, "training.side_by_side=2"])
    whole = list(train(recipe, tmp_path / "whole"))
    events = train(recipe, tmp_path / "halves")
    list(itertools.takewhile(lambda event: event.kind != "progressed" or event.update < 5, events))
    events.close()
    rest = list(train(recipe, tmp_path / "halves", resume=True))
    assert rest[-1].sha256 == whole[-1].sha256  # type: ignore[attr-defined]
    one, other = (load_file(tmp_path / name / "adapter.safetensors") for name in ("whole", "halves"))
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_an_adapter_handed_on_alone_comes_to_the_same_run(
    from_translator: Path, finished: Path, tmp_path: Path
) -> None:
    recipe = read_recipe(from_translator, [*QUICK, *LORA])
    list(train(recipe, tmp_path / "run"))
    prune_run(tmp_path / "run", {"encoder.0.self": [1]}, tmp_path / "pruned")
    assert not (tmp_path / "pruned" / "adapter.safetensors").exists()  # its weights have other shapes now
    adapter = Path(shutil.copy(tmp_path / "run" / "adapter.safetensors", tmp_path / "alone.safetensors"))
    merged = merge_adapter(adapter, str(finished), tmp_path / "merged")
    assert adapter.stat().st_size < 60_000
    for name in ("model.safetensors", "config.json", "recipe.toml", "tokenizer/pieces.json", "tokenizer/tags.json"):
        assert (tmp_path / "merged" / name).read_bytes() == (tmp_path / "run" / name).read_bytes(), name
    sentence = [["twenty", "one", "cats"]]
    assert load(merged.path).predict(sentence) == load(tmp_path / "run").predict(sentence)


def test_an_adapter_refuses_another_model(from_translator: Path, tagger: Path, tmp_path: Path) -> None:
    list(train(read_recipe(from_translator, [*QUICK, *LORA]), tmp_path / "run"))
    with pytest.raises(RunError, match=r"was trained for weights with SHA-256 .*but those in .* have"):
        merge_adapter(tmp_path / "run" / "adapter.safetensors", str(tagger), tmp_path / "merged")
    assert not list((tmp_path / "merged").iterdir())  # so that the next try may have the same --out
    with pytest.raises(RunError, match="it is no adapter of ours"):
        merge_adapter(tmp_path / "run" / "model.safetensors", str(tagger), tmp_path / "other")


def test_the_same_task_and_labels_keep_their_head(tagger: Path, tmp_path: Path) -> None:
    recipe = read_recipe(tagging(tmp_path / "tags", tagger), [*QUICK, "training.freeze=['encoder', 'output.weight']"])
    list(train(recipe, tmp_path / "run"))
    before, after = load_file(tagger / "model.safetensors"), load_file(tmp_path / "run" / "model.safetensors")
    assert torch.equal(before["output.weight"], after["output.weight"])
    assert not torch.equal(before["output.bias"], after["output.bias"])


def test_a_classifier_from_a_tagger_reads_as_it_did(tagger: Path, tmp_path: Path) -> None:
    """Words and n-grams are the tagger's, the head is new, pooling is the new task's own."""
    path = write_toy_labels(tmp_path / "labels")
    text = path.read_text().replace("[input]\nbuckets = 100\nlongest = 3\n", "")
    head, _, training = text.partition("[model]")[0], None, text.partition("[training]")[2]
    path.write_text(f'{head}[model]\nfrom = "{tagger}"\n\n[training]{training}', encoding="utf-8")
    list(train(read_recipe(path, QUICK), tmp_path / "run"))
    words = [(folder / "tokenizer" / "words.json").read_bytes() for folder in (tagger, tmp_path / "run")]
    assert words[0] == words[1]
    model = load(tmp_path / "run")
    assert (model.config.pooling, model.config.classes, model.config.ngram_buckets) == ("mean", 3, 100)
    assert model.predict(["an apple"])[0].label in ("apple", "pear", "plum")


def test_a_translator_goes_on_from_itself(finished: Path, toy: Path, tmp_path: Path) -> None:
    """It begins where the other ended, so its first loss is small; from scratch it would be ln 16, about 2.8."""
    text = toy.read_text().partition("[tokenizer]")[0] + f'[model]\nfrom = "{finished}"\n\n[training]'
    (toy.parent / "more.toml").write_text(text + toy.read_text().partition("[training]")[2], encoding="utf-8")
    events = list(
        train(read_recipe(toy.parent / "more.toml", [*QUICK, "training.label_smoothing=0.0"]), tmp_path / "run")
    )
    first = next(event for event in events if event.kind == "progressed")
    assert first.nll < 0.3  # type: ignore[attr-defined]
    assert load(tmp_path / "run").config == load(finished).config


def test_what_the_other_model_decides_is_not_chosen_anew(from_translator: Path, tmp_path: Path) -> None:
    for settings, said in [
        (["model.width=64"], r"model\.width = 64, but the model in .* has 32"),
        (["input.kind=words"], r"input\.kind = 'words', but the model in .* has 'pieces'"),
        (
            ["input.kind=pieces", "tokenizer.vocabulary=300"],
            r"tokenizer\.vocabulary = 300, but the model in .* has 8000",
        ),
        (["model.widht=32"], r"unknown key model\.widht"),
    ]:
        with pytest.raises(ConfigurationError, match=said):
            list(train(read_recipe(from_translator, settings), tmp_path / "run"))
    assert not (tmp_path / "run").exists()
    assert complete(read_recipe(from_translator, ["model.width=32"])).model.width == 32


def test_models_that_a_task_cannot_begin_with_are_refused(tagger: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match='needs a model with architecture = "encoder-decoder", but'):
        inherit(str(tagger), "translation")
    with pytest.raises(ConfigurationError, match=r"reads vectors, but the one in .* reads tokens"):
        inherit(str(finished), "vector-tagging")
    with pytest.raises(RunError, match="no such folder"):
        inherit(str(tmp_path / "nowhere"), "tagging")


def test_a_damaged_model_is_not_started_from(from_translator: Path, finished: Path, tmp_path: Path) -> None:
    origin = Path(shutil.copytree(finished, tmp_path / "origin"))
    weights = bytearray((origin / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (origin / "model.safetensors").write_bytes(weights)
    with pytest.raises(RunError, match="is damaged: expected SHA-256"):
        list(train(read_recipe(from_translator, [*QUICK, f"model.from={origin}"]), tmp_path / "run"))


def test_adapters_need_a_model_to_adapt(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="lora adapts a model that is there already"):
        read_recipe(write_toy(tmp_path), ["model.lora.rank=2"])


def test_the_report_says_what_it_started_from(from_translator: Path, finished: Path, tmp_path: Path) -> None:
    list(train(read_recipe(from_translator, [*QUICK, *LORA]), tmp_path / "run"))
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    card = json.loads((finished / "config.json").read_text())
    assert report["started_from"] == {"origin": str(finished), "weights_sha256": card["weights_sha256"]}
    adapter = load_file(tmp_path / "run" / "adapter.safetensors")
    assert report["training"]["trained_parameters"] == sum(tensor.numel() for tensor in adapter.values())


def test_a_taggers_layers_are_a_language_models(every_kind: dict[str, Path], tmp_path: Path) -> None:
    """Which then read both ways: the last word decides about the first, as it could not before."""
    writer = every_kind["language-model"]
    recipe = read_recipe(
        tagging(tmp_path / "tags", writer), [*QUICK, "training.freeze=['encoder']", "model.dropout=0.0"]
    )
    list(train(recipe, tmp_path / "run"))
    before, after = load_file(writer / "model.safetensors"), load_file(tmp_path / "run" / "model.safetensors")
    encoder = [name for name in after if name.startswith("encoder.")]
    assert encoder and all(
        torch.equal(before["decoder" + name.removeprefix("encoder")], after[name]) for name in encoder
    )
    model = load(tmp_path / "run")
    one, other = (model.states(torch.tensor([[5, 6, last]])) for last in (7, 8))
    assert not torch.allclose(one[0, 0], other[0, 0])


@pytest.mark.parametrize("kind", ["language-model", "translator"])
def test_the_layers_that_a_tagger_starts_from_may_be_pruned(
    every_kind: dict[str, Path], finished: Path, tmp_path: Path, kind: str
) -> None:
    whole, stack = (finished, "encoder") if kind == "translator" else (every_kind[kind], "decoder")
    heads = {f"{stack}.0.self": [1]} | ({"decoder.1.cross": [0]} if kind == "translator" else {})
    pruned = tmp_path / "pruned"
    prune_run(whole, heads, pruned)
    list(train(read_recipe(tagging(tmp_path / "tags", pruned), [*QUICK, "model.dropout=0.0"]), tmp_path / "run"))
    left = load(pruned).config.kept_heads
    assert left and load(tmp_path / "run").config.kept_heads == {"encoder.0.self": left[f"{stack}.0.self"]}


def test_a_language_model_goes_on_with_its_own_pieces(every_kind: dict[str, Path], tmp_path: Path) -> None:
    """The new text has letters of its own, but the vocabulary is the other's."""
    writer = every_kind["language-model"]
    (tmp_path / "more.txt").write_text("lorem ipsum XYZ\n" * 40, encoding="utf-8")
    data = 'task = "language-model"\n[data]\ntrain = { files = ["more.txt"] }\nsplit = { valid = 0.2 }\nlength = 32\n'
    (tmp_path / "more.toml").write_text(f'{data}[model]\nfrom = "{writer}"\n[training]\nprecision = "float32"\n')
    list(train(read_recipe(tmp_path / "more.toml", QUICK), tmp_path / "run"))
    assert load(tmp_path / "run").config == load(writer).config
    pieces = [(folder / "tokenizer" / "shared.json").read_bytes() for folder in (writer, tmp_path / "run")]
    assert pieces[0] == pieces[1]


def test_layers_that_read_one_way_only_are_refused(every_kind: dict[str, Path], tmp_path: Path) -> None:
    buckets = Path(shutil.copytree(every_kind["language-model"], tmp_path / "buckets"))
    card = json.loads((buckets / "config.json").read_text())
    (buckets / "config.json").write_text(json.dumps(card | {"model": card["model"] | {"positions": "t5"}}))
    with pytest.raises(ConfigurationError, match="whose layers read one way only"):
        inherit(str(buckets), "tagging")


def test_vectors_keep_the_scale_that_the_weights_were_trained_on(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    recipe = (
        'task = "vector-tagging"\n[data]\ntrain = {{ file = "{0}.npz", vectors = "x", labels = "y" }}\nmax_length = 4\n'
    )
    for name, mean, width in (("first", 5.0, 3), ("second", -2.0, 3), ("wider", 0.0, 4)):
        rows = chance.normal(mean, 2.0, (40, 4, width)).astype(np.float32)
        np.savez(tmp_path / f"{name}.npz", x=rows, y=(rows[..., 0] > mean).astype(np.int64))
        sizes = "[model]\nwidth = 8\nencoder_layers = 1\nheads = 2\nfeedforward = 8\nmax_positions = 4\n"
        sizes = sizes if name == "first" else f'[model]\nfrom = "{tmp_path / "first"}"\n'
        (tmp_path / f"{name}.toml").write_text(recipe.format(name) + sizes, encoding="utf-8")
    for name in ("first", "second"):
        list(train(read_recipe(tmp_path / f"{name}.toml", QUICK), tmp_path / name))
    scales = [
        json.loads((tmp_path / name / "tokenizer/vectors.json").read_text())["mean"] for name in ("first", "second")
    ]
    assert scales[0] == scales[1] and scales[0][0] > 4
    with pytest.raises(DataError, match=r"vectors of 4 numbers, but the model in .* reads vectors of 3"):
        list(train(read_recipe(tmp_path / "wider.toml", QUICK), tmp_path / "no"))
