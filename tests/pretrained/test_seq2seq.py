"""BART, Marian and T5: logits, cache, greedy and beam search as in transformers, for small random models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from clearhead.errors import ConfigurationError, RunError
from clearhead.generation.batches import generate
from clearhead.generation.settings import DecodingSettings
from clearhead.pretrained.describe import essence, publish
from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.read import Source, understand
from clearhead.symbols import Symbols

from .originals import transformers
from .searches import SEARCHES

WORDS, TARGETS = 61, 53
SIDES = {"d_model": 30, "encoder_layers": 3, "decoder_layers": 2, "vocab_size": WORDS, "max_position_embeddings": 29}
SIDES |= {
    f"{side}_{name}": size
    for side in ("encoder", "decoder")
    for name, size in (("attention_heads", 5), ("ffn_dim", 37))
}
SIDES |= {
    "pad_token_id": 1,
    "eos_token_id": 2,
    "bos_token_id": 0,
    "decoder_start_token_id": 1,
    "forced_eos_token_id": None,
}
T5 = {
    "vocab_size": WORDS,
    "d_model": 30,
    "d_kv": 7,
    "d_ff": 37,
    "num_layers": 3,
    "num_decoder_layers": 2,
    "num_heads": 5,
}
T5 |= {"relative_attention_num_buckets": 8, "relative_attention_max_distance": 20, "decoder_start_token_id": 0}
OWN_OUTPUT = "t5-1.1"
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bart": ("BartForConditionalGeneration", "BartConfig", SIDES | {"forced_bos_token_id": 0}),
    "bart-scaled-relu": (
        "BartForConditionalGeneration",
        "BartConfig",
        SIDES | {"scale_embedding": True, "activation_function": "relu"},
    ),
    "marian": ("MarianMTModel", "MarianConfig", SIDES | {"scale_embedding": True, "activation_function": "swish"}),
    "marian-two-vocabularies": (
        "MarianMTModel",
        "MarianConfig",
        SIDES | {"share_encoder_decoder_embeddings": False, "decoder_vocab_size": TARGETS},
    ),
    "t5": ("T5ForConditionalGeneration", "T5Config", T5),
    "t5-gated-relu": ("T5ForConditionalGeneration", "T5Config", T5 | {"feed_forward_proj": "gated-relu"}),
    OWN_OUTPUT: (
        "T5ForConditionalGeneration",
        "T5Config",
        T5 | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    ),
}
# BART's forced beginning, Marian's padding that is never written: nothing else is special in these vocabularies.
SYMBOLS = {
    "bart": Symbols(pad=1, after=(), start=1, forced=(0,), ends=(2,), never=()),
    "marian": Symbols(pad=1, after=(), start=1, ends=(2,), never=(1,)),
    "t5": Symbols(pad=0, after=(), start=0, ends=(1,), never=()),
}


@torch.no_grad()
def saved(name: str, folder: Path) -> Any:
    """transformers' model, its weights, norms and biases far from zero and one, and the folder it was saved in."""
    model_class, config_class, settings = CASES[name]
    torch.manual_seed(sum(map(ord, name)))
    model = getattr(transformers, model_class)(getattr(transformers, config_class)(**settings)).eval()
    for key, parameter in [*model.named_parameters(), *model.named_buffers()]:
        if not key.endswith("embed_positions.weight") or "bart" in name:
            parameter.add_(torch.randn_like(parameter) * 0.3)
    model.save_pretrained(folder)
    if name == OWN_OUTPUT:
        file, config = folder / "model.safetensors", folder / "config.json"
        save_file(load_file(file) | {"lm_head.weight": torch.randn(WORDS, 30)}, file, {"format": "pt"})
        table = json.loads(config.read_text()) | {"tie_word_embeddings": False}
        del table["scale_decoder_outputs"]
        config.write_text(json.dumps(table))
        model = getattr(transformers, model_class).from_pretrained(folder).eval()
    return model


def read(folder: Path) -> Source:
    return understand(ModelDirectory.open(folder))


def problem() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Source ids (4, 11), which of them are real, target ids (4, 9)."""
    generator = torch.Generator().manual_seed(5)
    mask = torch.arange(11) < torch.tensor([11, 7, 3, 1])[:, None]
    ids = torch.randint(3, TARGETS, (4, 11), generator=generator).masked_fill(~mask, 1)
    return ids, mask, torch.randint(3, TARGETS, (4, 9), generator=generator)


def close(found: torch.Tensor, wanted: torch.Tensor) -> bool:
    return float((found - wanted).abs().max()) <= 2e-4 * float(wanted.abs().max())


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_logits_states_and_cache_agree(name: str, tmp_path: Path) -> None:
    theirs, (ids, mask, target) = saved(name, tmp_path), problem()
    ours: Any = read(tmp_path).build()
    wanted = theirs(input_ids=ids, attention_mask=mask.long(), decoder_input_ids=target)
    assert close(ours.logits(ids, target, mask=mask), wanted.logits)
    assert close(ours.states(ids, mask=mask)[mask], wanted.encoder_last_hidden_state[mask])
    state = ours.begin(ids, mask, beam=1, max_length=9)
    steps = [ours.advance(target[:, step : step + 1], state) for step in range(9)]
    assert close(torch.cat(steps, dim=1), wanted.logits)


lengths: set[int] = set()


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_greedy_and_beams_write_the_same_tokens(name: str, search: str, tmp_path: Path) -> None:
    """2 to 14 tokens; a dozen of the vocabulary's end an output, so that outputs of many lengths compete."""
    theirs, (ids, mask, _) = saved(name, tmp_path), problem()
    ours: Any = read(tmp_path).build()
    symbols = SYMBOLS[name.split("-")[0]]
    if name == "bart-scaled-relu":
        symbols = symbols.model_copy(update={"forced": ()})
    symbols = symbols.model_copy(update={"ends": (*symbols.ends, *range(10, TARGETS, 4))})
    bad: dict[str, Any] = {"bad_words_ids": [[1]]} if symbols.never else {}
    bad |= {"forced_bos_token_id": 0} if symbols.forced else {}
    mine, its = SEARCHES[search]
    its = its | ({"forced_eos_token_id": symbols.ends[0]} if "forced_eos_token_id" in its else {})
    wanted = theirs.generate(
        ids, attention_mask=mask.long(), do_sample=False, min_new_tokens=2, max_new_tokens=14,
        eos_token_id=list(symbols.ends), **{"num_beams": 4} | bad | its,
    )  # fmt: skip
    common = {"beam": 4, "beam_rule": "steady", "min_length": 2, "max_length": 14, "max_ratio": 99.0}
    settings = DecodingSettings.model_validate(common | mine)
    found = generate(ours, [row[real].tolist() for row, real in zip(ids, mask, strict=True)], settings, symbols=symbols)
    lengths.update(len(best.tokens) for best, *_ in found)
    for (best, *_), row in zip(found, wanted.tolist(), strict=True):
        written = [token for token in row[1:] if token not in (symbols.pad, *symbols.ends)]
        assert [token for token in best.tokens if token != symbols.pad] == written


def test_outputs_of_many_lengths_did_compete() -> None:
    """The negative control of the test above, which it follows."""
    assert not lengths or len(lengths) > 3


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_out_again_every_bit_is_the_same_and_transformers_agrees(name: str, tmp_path: Path) -> None:
    theirs = saved(name, tmp_path / "in")
    source, again = read(tmp_path / "in"), tmp_path / "out"
    out = publish(source.config, dict(source.build().named_parameters()), source.family.name)
    again.mkdir()
    special = {key: value for key, value in theirs.config.to_dict().items() if key.endswith("token_id")}
    (again / "config.json").write_text(json.dumps(out.settings | special))
    save_file(out.tensors, again / "model.safetensors", {"format": "pt"})
    before, after = (load_file(folder / "model.safetensors") for folder in (tmp_path / "in", again))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in after)
    assert essence(read(again).config) == essence(source.config)
    loaded = getattr(transformers, out.settings["architectures"][0]).from_pretrained(again).eval()
    ids, mask, target = problem()
    first, second = (
        model(input_ids=ids, attention_mask=mask.long(), decoder_input_ids=target).logits for model in (theirs, loaded)
    )
    assert torch.equal(first, second)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("bart", {"decoder_attention_heads": 6}, "decoder_attention_heads = 6 is not supported, only 5"),
        ("bart", {"normalize_before": True}, "normalize_before = True is not supported, only False"),
        ("bart", {"activation_function": "mish"}, "activation_function: expected one of relu, gelu"),
        ("marian", {"static_position_embeddings": False}, "static_position_embeddings = False is not supported"),
        ("marian", {"d_model": 31}, "width 31 cannot be cut into 5 equal heads"),
        ("t5", {"feed_forward_proj": "gated-mish"}, "feed_forward_proj: expected one of relu"),
        ("t5", {"num_layers": 4}, "holds"),
        ("t5", {"d_kv": 1 << 40}, "d_kv: expected a whole number from 1 to 1048576"),
        ("t5", {"surprise": 1}, "unknown setting 'surprise'"),
    ],
)
def test_settings_that_make_another_model_are_refused(
    name: str, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    saved(name, tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | change))
    with pytest.raises((ConfigurationError, RunError)) as caught:
        read(tmp_path)
    assert said in str(caught.value)


def test_an_output_matrix_that_should_be_the_embedding_must_be(tmp_path: Path) -> None:
    saved("bart", tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"lm_head.weight": tensors["model.shared.weight"] + 0.0}, file)
    read(tmp_path)
    save_file(tensors | {"lm_head.weight": tensors["model.shared.weight"] + 1.0}, file)
    with pytest.raises(RunError, match="are one tensor, but they differ"):
        read(tmp_path)
