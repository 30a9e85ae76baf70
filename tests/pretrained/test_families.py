"""What every family promises: settings known to the last one, tensors out as they came in, refusals by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from clearhead.errors import ConfigurationError, RunError
from clearhead.models.config import ModelConfig
from clearhead.pretrained.describe import differences, essence, publish
from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.read import understand
from clearhead.pretrained.rows import Row
from clearhead.pretrained.table import FAMILIES

from .originals import CASES, agree, saved, tokens, transformers


def change(folder: Path, **settings: Any) -> Path:
    """The directory with other settings; None takes one out."""
    file = folder / "config.json"
    table = {**json.loads(file.read_text()), **settings}
    file.write_text(json.dumps({name: value for name, value in table.items() if value is not None}))
    return folder


def read(folder: Path) -> Any:
    return understand(ModelDirectory.open(folder))


@pytest.mark.parametrize("name", CASES)
@torch.no_grad()
def test_out_again_every_bit_is_the_same_and_transformers_agrees(name: str, tmp_path: Path) -> None:
    theirs, folder = saved(name, tmp_path / "in")
    source = read(folder)
    ours = source.build()
    out = publish(source.config, dict(ours.named_parameters()), source.family.name)
    again = tmp_path / "out"
    again.mkdir()
    (again / "config.json").write_text(json.dumps(out.settings))
    save_file(out.tensors, again / "model.safetensors", {"format": "pt"})
    before, after = load_file(folder / "model.safetensors"), load_file(again / "model.safetensors")
    if name == "gpt2-bare":  # comes out as the language model that it is
        before = {f"transformer.{key}": value for key, value in before.items()}
    unused = {"cls.predictions.bias"} if name == "bert-masked-untied" else set()
    assert before.keys() - unused == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in after)
    assert essence(read(again).config) == essence(source.config)
    loaded = getattr(transformers, out.settings["architectures"][0]).from_pretrained(again).eval()
    ids = tokens(2, 11)
    first, second = (model(ids, output_hidden_states=True).hidden_states[-1] for model in (theirs, loaded))
    assert torch.equal(first, second)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_the_model_has_the_dtype_of_the_file(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs, folder = saved("qwen3", tmp_path, lambda model: model.to(dtype))
    ours = read(folder).build()
    assert {parameter.dtype for parameter in ours.parameters()} == {dtype}
    assert torch.equal(ours.output.weight, theirs.lm_head.weight)


def test_names_of_the_first_berts_and_heads_of_pre_training(tmp_path: Path) -> None:
    """gamma and beta for weight and bias of a norm, buffers, and beside a masked model other heads of pre-training."""
    theirs, folder = saved("bert-masked", tmp_path)
    file = folder / "model.safetensors"
    tensors = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for key, value in load_file(file).items()
    }
    tensors |= {
        "bert.embeddings.position_ids": torch.arange(23)[None],
        "cls.seq_relationship.weight": torch.ones(2, 30),
    }
    tensors |= {"bert.pooler.dense.weight": torch.ones(30, 30), "bert.pooler.dense.bias": torch.ones(30)}
    tensors |= {"cls.predictions.decoder.weight": tensors["bert.embeddings.word_embeddings.weight"].clone()}
    save_file(tensors, file)
    ids = tokens(2, 7)
    agree(read(folder).build().logits(ids), theirs(ids).logits)
    tensors["cls.predictions.decoder.weight"][3, 4] += 1
    save_file(tensors, file)
    with pytest.raises(RunError, match="are one tensor, but they differ"):
        read(folder)


def test_gpt_2_without_the_name_of_its_stack(tmp_path: Path) -> None:
    """As the first files were written: a language model by its settings, names as in a bare stack, masks as buffers."""
    theirs, folder = saved("gpt2", tmp_path)
    file = folder / "model.safetensors"
    tensors = {key.removeprefix("transformer."): value for key, value in load_file(file).items()}
    tensors |= {
        "h.0.attn.bias": torch.ones(1, 1, 23, 23, dtype=torch.uint8),
        "lm_head.weight": tensors["wte.weight"] + 0,
    }
    save_file(tensors, file)
    ids = tokens(2, 7)
    agree(read(folder).build().logits(ids), theirs(ids).logits)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("bert", {"hiden_act": "relu"}, r"unknown setting 'hiden_act' \(did you mean 'hidden_act'\?\)"),
    ("bert", {"hidden_act": "mish"}, "hidden_act: expected one of relu, gelu, .*, got 'mish'"),
    ("bert", {"position_embedding_type": "relative_key"}, "position_embedding_type = 'relative_key' is not supported"),
    ("bert", {"is_decoder": True}, "is_decoder = True is not supported"),
    ("bert", {"is_encoder_decoder": True}, "is_encoder_decoder = True is not supported"),
    ("qwen2", {"use_mrope": True}, "use_mrope = True is not supported"),
    ("bert", {"model_type": "berta"}, r"model_type: expected one of bert, .*, got 'berta' \(did you mean 'bert'\?\)"),
    ("bert", {"architectures": ["BertForQuestionAnswering"]}, "architectures: expected one of BertModel, .*"),
    ("bert", {"num_attention_heads": 7}, "width 30 cannot be cut into 7 equal heads"),
    ("bert", {"hidden_size": True}, "hidden_size: expected a whole number"),
    ("bert", {"vocab_size": None}, "the setting 'vocab_size' is missing"),
    ("bert", {"hidden_size": 60}, "numbers, but by its config.json the model has"),
    ("bert", {"intermediate_size": 36}, r"should have shape \[36, 30\] by config.json, but has \[37, 30\]"),
    ("roberta", {"pad_token_id": 40}, "max_position_embeddings counts 41 rows in front"),
    ("gpt2", {"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx = True is not supported"),
    ("gpt2", {"quantization_config": {"bits": 4}}, "quantization_config = .* is not supported"),
    ("llama", {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}}, "rope_type: expected one of .*, got 'yarn'"),
    ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "beta": 1}}, "unknown setting 'beta'"),
    ("llama", {"partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5 is not supported"),
    ("llama", {"attn_logit_softcapping": 50.0}, "unknown setting 'attn_logit_softcapping'"),
    ("qwen2-window", {"max_window_layers": 2, "layer_types": None}, "1 of 3 layers have a sliding window"),
    ("qwen3", {"layer_types": ["sliding_attention"] * 3}, "but use_sliding_window is false"),
    ("qwen3", {"layer_types": ["round"] * 3}, "layer_types: expected one of full_attention, sliding_attention"),
]


@pytest.mark.parametrize(("name", "settings", "said"), REFUSED)
def test_what_is_not_known_is_refused_by_name(name: str, settings: dict[str, Any], said: str, tmp_path: Path) -> None:
    _, folder = saved(name, tmp_path)
    with pytest.raises((ConfigurationError, RunError), match=said) as caught:
        read(change(folder, **settings))
    assert str(folder) in str(caught.value)


# Settings as they stand in well-known files, beside those that transformers writes by itself.
KNOWN: list[tuple[str, dict[str, Any]]] = [
    ("bert", {"gradient_checkpointing": False, "position_embedding_type": "absolute", "output_past": True}),
    (
        "bert",
        {"directionality": "bidi", "pooler_fc_size": 768, "pooler_num_fc_layers": 3, "pooler_type": "first_token"},
    ),
    ("bert", {"is_decoder": False, "is_encoder_decoder": False, "pruned_heads": {}, "id2label": {"0": "A"}}),
    ("distilbert", {"tie_weights_": True, "qa_dropout": 0.1, "sinusoidal_pos_embds": True}),
    ("gpt2", {"n_ctx": 1024, "summary_type": "cls_index", "task_specific_params": {"text-generation": {"top_k": 50}}}),
    ("llama", {"pretraining_tp": 1, "rope_scaling": None, "rope_interleaved": False, "is_llama_config": True}),
    ("mistral", {"torch_dtype": "bfloat16", "use_cache": True, "attention_dropout": 0.0}),
    ("qwen2", {"use_mrope": False, "use_sliding_window": False, "max_window_layers": 21}),
]


@pytest.mark.parametrize(("name", "settings"), KNOWN)
def test_settings_without_effect_are_known(name: str, settings: dict[str, Any], tmp_path: Path) -> None:
    _, folder = saved(name, tmp_path)
    before = read(folder).config
    assert read(change(folder, **settings)).config == before


def test_tensors_that_are_missing_or_unknown_are_refused_by_name(tmp_path: Path) -> None:
    _, folder = saved("llama", tmp_path)
    file = folder / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"model.layers.0.self_attn.q_proj.lora_A": torch.ones(3, 5)}, file)
    with pytest.raises(RunError, match=r"'model.layers.0.self_attn.q_proj.lora_A' is not part of a llama model"):
        read(folder)
    save_file(
        {key: value for key, value in tensors.items() if key != "model.norm.weight"} | {"rest": torch.ones(99)}, file
    )
    with pytest.raises(RunError, match=r"'model.norm.weight' is missing"):
        read(folder)
    save_file({key: value for key, value in tensors.items() if key != "lm_head.weight"}, file)
    with pytest.raises(ConfigurationError, match="no output matrix"):
        read(folder)
    save_file(tensors | {"model.norm.weight": torch.ones(30, dtype=torch.int64)}, file)
    with pytest.raises(RunError, match="should hold floating numbers"):
        read(folder)


def test_old_and_new_spellings_of_rotary_settings(tmp_path: Path) -> None:
    _, folder = saved("llama-3", tmp_path)
    new = read(folder).config
    scaling = json.loads((folder / "config.json").read_text())["rope_parameters"]
    old = {**scaling, "type": "llama3"}
    base = old.pop("rope_theta")
    old.pop("rope_type")
    assert read(change(folder, rope_parameters=None, rope_theta=base, rope_scaling=old)).config == new


def test_a_packed_projection_is_the_published_ones_on_top_of_each_other() -> None:
    a, b = torch.arange(6.0).view(2, 3), torch.arange(3.0).view(1, 3) + 10
    row = Row("ours", ("a", "b"), (2, 1))
    packed = row.pack([a, b])
    assert packed.tolist() == [[0, 1, 2], [3, 4, 5], [10, 11, 12]]
    assert all(torch.equal(x, y) for x, y in zip(row.unpack(packed), (a, b), strict=True))
    turned = Row("ours", ("a",), turned=True)
    assert turned.pack([a]).tolist() == [[0, 3], [1, 4], [2, 5]]
    assert turned.published_shapes((3, 2)) == [(2, 3)]
    flat = Row("ours", ("a",), flat=True)
    assert flat.pack([b]).tolist() == [10, 11, 12]
    assert torch.equal(flat.unpack(b[0])[0], b)


def test_what_keeps_a_model_from_being_one_of_a_family_is_named() -> None:
    config = ModelConfig(architecture="decoder", positions="learned", activation="gelu_tanh", norm_epsilon=1e-5)
    said = differences(config, FAMILIES["gpt2"])
    assert len(said) == 1 and said[0].startswith("input.scale must be 1.0, but is 11.3")
    encoder = ModelConfig(architecture="encoder", positions="learned", pooling="first_tanh")
    assert "input.segments must be 1, but is 0" in differences(encoder, FAMILIES["bert"])
    with pytest.raises(ConfigurationError, match="no family of published models has this one; gpt2 comes nearest"):
        publish(config, {})
    assert not differences(
        config.model_copy(update={"input": config.input.model_copy(update={"scale": 1.0})}), FAMILIES["gpt2"]
    )
