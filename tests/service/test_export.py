"""A model trained here, written as others read it: transformers gives the same logits, tokens and text."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from clearhead.errors import ConfigurationError, RunError
from clearhead.service.export import export
from clearhead.service.load import load
from clearhead.service.train import train

from .toy import write_toy
from .toy_labels import write_toy_labels
from .verse import write_verse

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()
LLAMA = {
    "width = 32\n": 'width = 32\nnorm = "rms"\nactivation = "swiglu"\nkey_value_heads = 2\n',
    "dropout = 0.0\n": "dropout = 0.0\n[model.input]\nscale = 1.0\n[model.biases]\n"
    "query_key_value = false\nattention_output = false\nfeedforward = false\n",
    "updates = 150\n": "updates = 30\n",
    "validate_every = 75\n": "validate_every = 30\n",
}


def changed(text: str, changes: dict[str, str]) -> str:
    """A recipe's text with other settings."""
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small language model whose blocks are Llama's."""
    recipe = write_verse(tmp_path_factory.mktemp("verse"))
    recipe.write_text(changed(recipe.read_text(encoding="utf-8"), LLAMA), encoding="utf-8")
    for _ in train(recipe, recipe.parent / "run"):
        pass
    return recipe.parent / "run"


def test_a_language_model_trained_here_is_a_llama_elsewhere(run: Path, tmp_path: Path) -> None:
    written = export(run, "huggingface", tmp_path / "out")
    assert written.kind == "llama"
    assert written.files == ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(written.folder).eval()
    cutter = transformers.AutoTokenizer.from_pretrained(written.folder)
    ours = load(run, device="cpu")
    text = "two households, both"
    ids = torch.tensor([cutter(text)["input_ids"]])
    assert ids[0].tolist() == [2, *ours.task.tokenizer.encode([text])[0]]
    with torch.no_grad():
        difference = (theirs(ids).logits - ours.logits(ids)).abs().max()
    assert difference <= 1e-5 * ours.logits(ids).abs().max()
    told = theirs.generate(ids, do_sample=False, max_new_tokens=12, min_new_tokens=12, suppress_tokens=[0, 2])
    (answer,) = ours.predict([text], sample=False, beam=1, max_length=12, min_length=12)
    assert cutter.decode(told[0], skip_special_tokens=True) == str(answer)
    back = load(written.folder, device="cpu")
    assert torch.equal(back.logits(ids), ours.logits(ids))
    (again,) = back.predict([text], sample=False, beam=1, max_length=12, min_length=12)
    assert str(again) == str(answer)


BERT = {
    "[input]\nbuckets = 100\nlongest = 3\n": '[input]\nkind = "pieces"\n[tokenizer]\nvocabulary = 60\n'
    "byte_fallback = false\n",
    "width = 32\n": 'width = 32\nnorm_order = "post"\npositions = "learned"\nactivation = "gelu"\n'
    'pooling = "first_tanh"\n',
    "dropout = 0.0\n": "dropout = 0.0\n[model.input]\nscale = 1.0\nnorm = true\nsegments = 1\n",
    "updates = 60\n": "updates = 20\n",
    "validate_every = 30\n": "validate_every = 20\n",
}


@pytest.mark.parametrize("sets", [False, True])
def test_a_classifier_trained_here_is_a_bert_elsewhere_with_its_labels(sets: bool, tmp_path: Path) -> None:
    recipe = write_toy_labels(tmp_path / "toy", sets=sets)
    recipe.write_text(changed(recipe.read_text(encoding="utf-8"), BERT), encoding="utf-8")
    for _ in train(recipe, tmp_path / "run"):
        pass
    written = export(tmp_path / "run", "huggingface", tmp_path / "out")
    assert written.kind == "bert"
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(written.folder).eval()
    cutter = transformers.AutoTokenizer.from_pretrained(written.folder)
    texts = ["I want some of that nice red apple", "old plum", "that pear I want"]
    with torch.no_grad():
        logits = theirs(**cutter(texts, padding=True, return_tensors="pt")).logits
    likely = logits.sigmoid() if sets else logits.softmax(-1)
    assert theirs.config.problem_type == ("multi_label_classification" if sets else None)
    for answer, row in zip(load(tmp_path / "run", device="cpu").predict(texts), likely, strict=True):
        assert sets or theirs.config.id2label[int(row.argmax())] == answer.label
        for number, name in theirs.config.id2label.items():
            assert answer.scores[name] == pytest.approx(float(row[number]), abs=1e-5)


MARIAN = {
    "shared = false": "shared = true",
    'tie = "target"': 'tie = "all"\nnorm_order = "post"\nnorm_epsilon = 1e-5\npositions = "sinusoidal_halves"',
    "updates = 200": "updates = 60",
    "validate_every = 100": "validate_every = 60",
}


@pytest.mark.parametrize("shared", [True, False])
def test_a_translator_trained_here_is_a_marian_elsewhere(shared: bool, tmp_path: Path) -> None:
    recipe = write_toy(tmp_path / "toy")
    text = changed(recipe.read_text(encoding="utf-8"), MARIAN)
    apart = {"shared = true": "shared = false", 'tie = "all"': 'tie = "target"'}
    recipe.write_text(text if shared else changed(text, apart), encoding="utf-8")
    for _ in train(recipe, tmp_path / "run"):
        pass
    written = export(tmp_path / "run", "huggingface", tmp_path / "out")
    assert written.kind == "marian"
    ours = load(tmp_path / "run", device="cpu")
    theirs = transformers.MarianMTModel.from_pretrained(written.folder).eval()
    source, target = torch.tensor([[5, 7, 6, 3], [9, 4, 3, 0]]), torch.tensor([[2, 8, 5, 11], [2, 6, 9, 4]])
    mask = source != 0
    with torch.no_grad():
        wanted = theirs(input_ids=source, attention_mask=mask.long(), decoder_input_ids=target).logits
    found = ours.logits(source, target, mask=mask)
    assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()
    if not shared:
        assert "tokenizer.json" not in written.files and "left out" in written.notes[0]
        return
    cutter = transformers.AutoTokenizer.from_pretrained(written.folder)
    told = theirs.generate(**cutter(["3 1 4"], return_tensors="pt"), num_beams=1, do_sample=False, max_new_tokens=9)
    (answer,) = ours.predict(["3 1 4"], beam=1)
    assert cutter.decode(told[0], skip_special_tokens=True) == answer.text


def test_the_weights_are_those_of_the_run_bit_by_bit(run: Path, tmp_path: Path) -> None:
    export(run, "huggingface", tmp_path / "out", family="mistral")
    before, after = load_file(run / "model.safetensors"), load_file(tmp_path / "out" / "model.safetensors")
    assert sum(tensor.numel() for tensor in before.values()) == sum(tensor.numel() for tensor in after.values())
    packed = before["decoder.blocks.1.self_attention.query_key_value.weight"]
    parts = [after[f"model.layers.1.self_attn.{part}_proj.weight"] for part in "qkv"]
    assert torch.equal(torch.cat(parts), packed)
    said = json.loads((tmp_path / "out" / "config.json").read_text())
    assert said["model_type"] == "mistral" and said["sliding_window"] is None
    assert (said["pad_token_id"], said["bos_token_id"], said["eos_token_id"]) == (0, 2, 3)


def test_what_cannot_be_written_is_refused_and_leaves_nothing(run: Path, finished: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"expected a target, one of .*; got 'hugginface' \(did you mean"):
        export(run, "hugginface", tmp_path / "out")
    with pytest.raises(ConfigurationError, match='the family gpt2 has no such model: activation = "swiglu" is none'):
        export(run, "huggingface", tmp_path / "out", family="gpt2")
    with pytest.raises(ConfigurationError, match="no family of published models has this one"):
        export(finished, "huggingface", tmp_path / "out")
    with pytest.raises(ConfigurationError, match=r"family: expected one of .*, got 'lama' \(did you mean 'llama'\?\)"):
        export(run, "huggingface", tmp_path / "out", family="lama")
    assert not list(tmp_path.iterdir())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()
    with pytest.raises(RunError, match="is not empty"):
        export(run, "huggingface", tmp_path / "full")
    damaged = Path(shutil.copytree(run, tmp_path / "run"))
    with (damaged / "model.safetensors").open("r+b") as file:
        file.seek(-3, 2)
        file.write(b"xyz")
    with pytest.raises(RunError, match="is damaged"):
        export(damaged, "huggingface", tmp_path / "out")
