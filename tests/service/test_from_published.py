"""Starting from a directory of a published model: a small BERT as its own library writes it, its vocabulary by hand."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clearhead.errors import ConfigurationError
from clearhead.recipes.read import read_recipe
from clearhead.service.load import load
from clearhead.service.train import train

from .test_finetuning import QUICK, tagging
from .toy_labels import FRUIT, write_toy_labels

transformers = pytest.importorskip("transformers", reason="needs transformers, whose models are started from")

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*"abcdefghijklmnopqrstuvwxyz,", *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"), "twenty", "cat"]
WORDS = [["twenty", "one", "cats"], ["and"], ["forty", "four", "and", "cats", ","]]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of odd sizes."""
    folder = tmp_path_factory.mktemp("published")
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *PIECES]) + "\n", encoding="utf-8")
    sizes: dict[str, Any] = {"hidden_size": 33, "num_attention_heads": 3, "num_hidden_layers": 2}
    sizes |= {"intermediate_size": 29, "max_position_embeddings": 40, "vocab_size": len(SPECIAL) + len(PIECES)}
    torch.manual_seed(2)
    model = transformers.BertModel(transformers.BertConfig(**sizes))
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def run(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tagger over it, of which the head alone is trained."""
    folder = tmp_path_factory.mktemp("tagger")
    recipe = tagging(folder / "data", published)
    list(train(read_recipe(recipe, [*QUICK, "training.freeze=['encoder']", "data.max_length=30"]), folder / "run"))
    return folder / "run"


def test_words_are_read_as_the_published_model_reads_them(published: Path, run: Path) -> None:
    """Surrounded by [CLS] and [SEP], which belong to no word; the states are those of the library, padding included."""
    tagger = load(run)
    (work,) = tagger.task.batches(WORDS)  # type: ignore[attr-defined]
    batch, order = work.batch, [place for place, _ in work.where]
    lengths = batch.mask.sum(1)
    assert (batch.ids[:, 0] == SPECIAL.index("[CLS]")).all()
    assert (batch.ids.gather(1, lengths[:, None] - 1) == SPECIAL.index("[SEP]")).all()
    for row, place in enumerate(order):
        real = batch.words[row][batch.mask[row]]
        assert real[0] == real[-1] == -1
        assert np.unique(real[1:-1]).tolist() == list(range(len(WORDS[place])))
    theirs = transformers.BertModel.from_pretrained(published).eval()
    with torch.inference_mode():
        expected = theirs(batch.ids, attention_mask=batch.mask.long()).last_hidden_state
        found = tagger.model.states(batch.ids, mask=batch.mask)  # type: ignore[operator]
    torch.testing.assert_close(found[batch.mask], expected[batch.mask], rtol=2e-4, atol=2e-5)


def test_every_word_has_its_tag_and_its_pieces_are_shown(run: Path) -> None:
    tagger = load(run)
    assert [len(answer.tags) for answer in tagger.predict(WORDS)] == [3, 1, 5]  # type: ignore[attr-defined]
    seen = tagger.inspect("twenty cats")
    assert list(seen.tokens("encoder.0.self").rows) == ["[CLS]", "twenty", "cat", "##s", "[SEP]"]
    long = [["cats", "and"] * 30]
    assert len(tagger.predict(long)[0].tags) == 60  # type: ignore[attr-defined]


def test_the_run_stands_alone_and_resumes(published: Path, tmp_path: Path) -> None:
    origin = Path(shutil.copytree(published, tmp_path / "origin"))
    recipe = read_recipe(tagging(tmp_path / "data", origin), [*QUICK, "data.max_length=30", "model.lora.rank=2"])
    whole = list(train(recipe, tmp_path / "whole"))
    events = train(recipe, tmp_path / "halves")
    list(itertools.takewhile(lambda event: event.kind != "progressed" or event.update < 3, events))
    events.close()
    shutil.rmtree(origin)
    rest = list(train(tmp_path / "halves" / "recipe.toml", tmp_path / "halves", resume=True))
    assert rest[-1].sha256 == whole[-1].sha256  # type: ignore[attr-defined]
    one, other = load(tmp_path / "whole"), load(tmp_path / "halves")
    assert one.predict(WORDS) == other.predict(WORDS)


def test_what_knows_our_own_symbols_only_is_refused(published: Path, tmp_path: Path) -> None:
    """A token that is dropped becomes our number of the unknown one, which is another piece there."""
    recipe = read_recipe(tagging(tmp_path / "data", published), ["model.token_dropout=0.1"])
    with pytest.raises(ConfigurationError, match=r"token_dropout = 0\.1 makes tokens the unknown one of our own"):
        list(train(recipe, tmp_path / "run"))


def test_texts_are_classified_inside_their_symbols(published: Path, tmp_path: Path) -> None:
    path = write_toy_labels(tmp_path / "data")
    text = (
        path.read_text()
        .replace("[input]\nbuckets = 100\nlongest = 3\n", "")
        .replace("max_length = 12", "max_length = 9")
    )
    data, training = text.partition("[model]")[0], text.partition("[training]")[2]
    path.write_text(f'{data}[model]\nfrom = "{published}"\npooling = "first"\n\n[training]{training}', encoding="utf-8")
    list(train(read_recipe(path, [*QUICK, "data.too_long=truncate"]), tmp_path / "run"))
    model = load(tmp_path / "run")
    ((_, batch),) = model.task.batches(["I want an apple now please"])  # type: ignore[attr-defined]
    assert batch.ids.shape == (1, 9)
    assert (int(batch.ids[0, 0]), int(batch.ids[0, -1])) == (2, 3)
    assert model.predict(["a plum"])[0].label in FRUIT  # type: ignore[attr-defined]
    shown = ["[CLS]", "a", "p", "##l", "##u", "##m", "[SEP]"]
    assert list(model.inspect("a plum").tokens("encoder.1.self").columns) == shown
