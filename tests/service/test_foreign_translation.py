"""Published translators trained further: the first loss and its gradients are transformers', and so is what comes out.

Marian, whose padding begins an output; BART, whose start is its end and stands before another symbol; T5.
"""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from clearhead.data.order import BatchOrder
from clearhead.errors import ConfigurationError
from clearhead.recipes.read import read_recipe
from clearhead.service.account import costs
from clearhead.service.adapter import merge_adapter
from clearhead.service.evaluate import evaluate_run
from clearhead.service.export import export
from clearhead.service.import_pretrained import import_run
from clearhead.service.load import load
from clearhead.service.run_folder import RunFolder
from clearhead.service.train import train
from clearhead.training.metrics import read_metrics
from clearhead.training.teacher_forcing import teacher_forcing

from .foreign import (
    QUICK,
    TRANSLATORS,
    begun,
    difference,
    killed,
    pairs_recipe,
    published,
    same_gradients,
    transformers,
    without_blind_rows,
)

LORA = ["model.lora.rank=2", "model.lora.targets=['query', 'value', 'feedforward']", "model.lora.dropout=0.1"]


@pytest.fixture(scope="module", params=TRANSLATORS)
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(family: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published directory."""
    return published(family, tmp_path_factory.mktemp(family) / "published")


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """A run that started from it and learnt its few words."""
    settings = [*QUICK, "training.updates=150", "training.validate_every=75", "training.checkpoint_every=75"]
    list(train(read_recipe(pairs_recipe(folder.parent / "data", folder), settings), folder.parent / "trained"))
    return folder.parent / "trained"


@pytest.fixture(scope="module")
def begun_run(folder: Path) -> Path:
    """A run of few updates, lower layers learning more slowly."""
    recipe = pairs_recipe(folder.parent / "data", folder)
    list(train(read_recipe(recipe, [*QUICK, "training.layer_decay=0.8"]), folder.parent / "begun"))
    return folder.parent / "begun"


@pytest.mark.parametrize("family", [*TRANSLATORS, "marian-two"], indirect=True)
def test_the_first_loss_and_its_gradients_are_transformers(folder: Path, tmp_path: Path) -> None:
    """From the same lines of text: their tokenizer, labels and shift on one side, the run's corpus on the other.

    Marian's library holds the gradient back that reaches the embedding of padding, which begins every output, through
    the input; ours does not, and neither does theirs when it is told so.
    """
    prepared, ours = begun(pairs_recipe(tmp_path / "data", folder), tmp_path / "run")
    batch = prepared.corpus.batch(np.arange(11))
    loss = teacher_forcing(0.0)(ours, batch, 1)
    (loss.total / batch.tokens).backward()
    given, real = as_they_read(folder, tmp_path / "data", 11)
    assert batch.source.tolist() == given["input_ids"].tolist()
    assert batch.tokens == int(real.sum()) and torch.equal(batch.target_out[real], given["labels"][real])
    labels = given["labels"].masked_fill(~real, -100)
    theirs = without_blind_rows(transformers.AutoModelForSeq2SeqLM.from_pretrained(folder).eval())
    wanted = theirs(input_ids=given["input_ids"], attention_mask=given["attention_mask"], labels=labels).loss
    wanted.backward()
    assert float(loss.total.detach()) / batch.tokens == pytest.approx(float(wanted.detach()), rel=1e-5)
    same_gradients(folder, ours, theirs)


def as_they_read(folder: Path, data: Path, count: int) -> tuple[Any, torch.Tensor]:
    """The first lines as transformers' tokenizer gives them, and which of the labels are real."""
    cutter = transformers.AutoTokenizer.from_pretrained(folder)
    source, target = ((data / f"train.{side}").read_text().split("\n")[:count] for side in ("src", "tgt"))
    lengths = torch.tensor([len(row) for row in cutter(text_target=target)["input_ids"]])
    given = cutter(source, text_target=target, padding=True, return_tensors="pt")
    return given, torch.arange(given["labels"].shape[1]) < lengths[:, None]


def test_training_lowers_the_loss(trained: Path) -> None:
    losses = [line["loss"] for line in read_metrics(trained / "metrics.jsonl") if line["event"] == "progressed"]
    assert losses[-1] < 0.2 * losses[0]


def test_stopped_and_resumed_it_is_the_same_run(begun_run: Path, folder: Path, tmp_path: Path) -> None:
    origin = Path(shutil.copytree(folder, tmp_path / "origin"))
    recipe = read_recipe(pairs_recipe(tmp_path / "data", origin), [*QUICK, "training.layer_decay=0.8"])
    events = train(recipe, tmp_path / "halves")
    list(itertools.takewhile(lambda event: event.kind != "progressed" or event.update < 5, events))
    events.close()
    shutil.rmtree(origin)
    list(train(tmp_path / "halves" / "recipe.toml", tmp_path / "halves", resume=True))
    assert (tmp_path / "halves/model.safetensors").read_bytes() == (begun_run / "model.safetensors").read_bytes()


@pytest.mark.parametrize("family", ["bart"], indirect=True)
def test_killed_and_resumed_it_is_the_same_run(begun_run: Path, folder: Path, tmp_path: Path) -> None:
    recipe = pairs_recipe(tmp_path / "data", folder)
    killed(recipe, [*QUICK, "training.layer_decay=0.8"], tmp_path / "run")
    assert not (tmp_path / "run/model.safetensors").exists()
    list(train(tmp_path / "run" / "recipe.toml", tmp_path / "run", resume=True))
    assert (tmp_path / "run/model.safetensors").read_bytes() == (begun_run / "model.safetensors").read_bytes()


def test_from_the_directory_or_from_its_run_is_the_same(begun_run: Path, folder: Path, tmp_path: Path) -> None:
    import_run(folder, tmp_path / "imported")
    recipe = pairs_recipe(tmp_path / "data", tmp_path / "imported")
    list(train(read_recipe(recipe, [*QUICK, "training.layer_decay=0.8"]), tmp_path / "run"))
    kept = [f"tokenizer/{each.name}" for each in (begun_run / "tokenizer").iterdir()]
    for name in ("model.safetensors", "config.json", *kept):
        assert (tmp_path / "run" / name).read_bytes() == (begun_run / name).read_bytes(), name


def test_a_run_that_started_so_is_started_from_in_turn(trained: Path, family: str, tmp_path: Path) -> None:
    again = read_recipe(pairs_recipe(tmp_path / "data", trained), QUICK)
    first = next(event for event in train(again, tmp_path / "run") if event.kind == "progressed")
    ended = [line["loss"] for line in read_metrics(trained / "metrics.jsonl") if line["event"] == "progressed"][-1]
    assert first.loss < ended + 0.5  # type: ignore[attr-defined]
    assert (tmp_path / "run/tokenizer").is_dir() and RunFolder(trained).family() == family


def test_exported_it_is_what_transformers_says_it_is(trained: Path, family: str, tmp_path: Path) -> None:
    written = export(trained, "huggingface", tmp_path / "out")
    assert written.kind == family
    ours, theirs = load(trained), transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "out").eval()
    texts = ["3", "4", "9 2"]
    batch = [ours.task.symbols.surrounded(row) for row in ours.task.source.encode(texts)]
    width = max(map(len, batch))
    mask = torch.arange(width) < torch.tensor([len(row) for row in batch])[:, None]
    ids = torch.tensor([row + [ours.task.symbols.pad] * (width - len(row)) for row in batch])
    target = torch.tensor([[ours.task.symbols.start, 5, 7, 11]] * 3)
    with torch.no_grad():
        wanted = theirs(input_ids=ids, attention_mask=mask.long(), decoder_input_ids=target).logits
        told = theirs.generate(ids, attention_mask=mask.long(), do_sample=False, num_beams=1, max_new_tokens=11)
    assert difference(ours.logits(ids, target, mask=mask), wanted) <= 1e-5
    found = ours.predict(texts, beam=1, max_length=11, max_ratio=99.0)
    end = ours.task.symbols.ends[0]
    for answer, row in zip(found, told.tolist(), strict=True):
        tokens = list(itertools.takewhile(lambda token: token != end, row[1:]))
        assert list(answer.alternatives[0].pieces) == ours.task.target.pieces(tokens)
    assert "drei" in found[0].text and "vier" in found[1].text
    said = json.loads((tmp_path / "out/config.json").read_text())
    assert said.get("bad_words_ids", []) == [[never] for never in ours.task.symbols.never]
    assert said["forced_eos_token_id"] is None and said["decoder_start_token_id"] == ours.task.symbols.start
    if family != "marian":
        back = load(tmp_path / "out").task.symbols
        assert back == ours.task.symbols.model_copy(update={"unknown": back.unknown, "silent": back.silent})
        cutter = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
        assert cutter(texts)["input_ids"] == batch
        assert cutter.batch_decode(told, skip_special_tokens=True) == [answer.text for answer in found]


def test_it_is_scored_and_looked_into(trained: Path) -> None:
    scored = evaluate_run(trained).scored
    assert (scored.split, scored.count) == ("valid", 6) and 0 < scored.loss < 8
    ours = load(trained)
    seen = ours.inspect("3 1", "drei eins")
    symbols = ours.task.target.symbols
    opened = ours.task.target.pieces([symbols.start, *symbols.opening])
    assert list(seen.fed)[: len(opened)] == opened
    assert list(seen.target)[-1:] == ours.task.target.pieces(symbols.closing)
    assert seen.logits.shape[-2] == len(seen.target)


@pytest.mark.parametrize("family", ["t5"], indirect=True)
def test_adapters_alone_come_to_the_same_run(folder: Path, family: str, tmp_path: Path) -> None:
    """Beside the directory, and beside a run that was imported from it; everything else is as it was."""
    list(train(read_recipe(pairs_recipe(tmp_path / "data", folder), [*QUICK, *LORA]), tmp_path / "run"))
    adapter = tmp_path / "run/adapter.safetensors"
    import_run(folder, tmp_path / "imported")
    for number, origin in enumerate((folder, tmp_path / "imported")):
        merged = merge_adapter(adapter, str(origin), tmp_path / f"merged-{number}")
        assert merged.weights_file.read_bytes() == (tmp_path / "run/model.safetensors").read_bytes()
        assert load(merged.path).predict(["3 1"]) == load(tmp_path / "run").predict(["3 1"])
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("imported", "run"))
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed and all("query" in name or "feedforward" in name or "key_value" in name for name in changed)


def test_what_is_frozen_stays_to_the_bit(folder: Path, family: str, tmp_path: Path) -> None:
    frozen = ["encoder"] if family == "t5" else ["encoder", "output.bias"]
    list(
        train(
            read_recipe(pairs_recipe(tmp_path / "data", folder), [*QUICK, f"training.freeze={frozen}"]),
            tmp_path / "run",
        )
    )
    import_run(folder, tmp_path / "imported")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("imported", "run"))
    same = {name for name in after if torch.equal(before[name], after[name])}
    assert same == {name for name in after if name.startswith("encoder.") or name == "output.bias"}


@pytest.mark.parametrize("family", ["bart"], indirect=True)
def test_scheduled_sampling_resumes_too(folder: Path, tmp_path: Path) -> None:
    path = pairs_recipe(tmp_path / "data", folder)
    path.write_text(path.read_text() + '[scheduled_sampling]\nschedule = "constant"\ntruth = 0.5\nchoice = "sample"\n')
    whole = list(train(read_recipe(path, QUICK), tmp_path / "whole"))
    events = train(read_recipe(path, QUICK), tmp_path / "halves")
    list(itertools.takewhile(lambda event: event.kind != "progressed" or event.update < 5, events))
    events.close()
    rest = list(train(read_recipe(path, QUICK), tmp_path / "halves", resume=True))
    assert rest[-1].sha256 == whole[-1].sha256  # type: ignore[attr-defined]


def test_room_is_counted_with_what_surrounds_a_text(folder: Path, family: str, tmp_path: Path) -> None:
    """BART surrounds either side by two symbols, the others by one: lines are kept, and batches filled, up to that."""
    path, added = pairs_recipe(tmp_path / "data", folder), 2 if family == "bart" else 1
    lines = ["3 1 4 1 5 9 2 6 5 3 5 8 9 7 9 3"[: 1 + n % 32] for n in range(160)]
    for side in ("src", "tgt"):
        (tmp_path / f"data/train.{side}").write_text("".join(f"{line}\n" for line in lines))
    corpus: Any = begun(path, tmp_path / "run")[0].corpus
    sides = [tokenizer.encode(lines) for tokenizer in RunFolder(tmp_path / "run").tokenizers()]
    lengths = [max(map(len, pair)) for pair in zip(*sides, strict=True)]
    assert len(corpus) == sum(length + added <= 20 for length in lengths) < len(lines)
    batches = [corpus.batch(rows) for rows in BatchOrder(corpus, 60, seed=1).epoch(0)]
    shapes = [tensor.shape for batch in batches for tensor in (batch.source, batch.target_in)]
    assert max(width for _, width in shapes) == 20
    assert max(rows * width for rows, width in shapes) == 60


def test_an_account_knows_the_vocabularies_that_come_over(folder: Path, tmp_path: Path) -> None:
    import_run(folder, tmp_path / "imported")
    found = costs(str(pairs_recipe(tmp_path / "data", folder)))
    assert found.config == RunFolder(tmp_path / "imported").card().model


@pytest.mark.parametrize("family", ["t5"], indirect=True)
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("tokenizer.subword_dropout=0.1", r"tokenizer\.subword_dropout: .* brings its own tokenizer, of which nothing"),
        (
            "tokenizer.vocabulary=300",
            r"tokenizer\.vocabulary: .* brings its own tokenizer, of which nothing can be chosen",
        ),
        ("model.token_dropout=0.1", r"token_dropout needs architecture = .encoder., got .encoder-decoder."),
        ("model.width=44", r"model\.width = 44, but the model in .* has 22, and its weights were trained so"),
        ("data.max_length=5000", r"data\.max_length = 5000 lets longer sequences in than model\.max_positions"),
    ],
)
def test_what_cannot_be_is_refused(folder: Path, setting: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=said):
        list(train(read_recipe(pairs_recipe(tmp_path / "data", folder), [*QUICK, setting]), tmp_path / "run"))
    assert not (tmp_path / "run").exists()
