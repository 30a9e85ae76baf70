"""Small random models of every family, made and saved by transformers: what ours are compared with.

Sizes are odd and different from each other, so that a mixed-up axis cannot fit. Weights are larger than at
initialisation, norms and biases too, so that nothing hides behind zeros and ones.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers")
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()

WORDS = 61
ENCODER = {"vocab_size": WORDS, "hidden_size": 30, "num_hidden_layers": 3, "num_attention_heads": 5}
ENCODER |= {"intermediate_size": 37, "max_position_embeddings": 23}
DISTIL = {"vocab_size": WORDS, "dim": 30, "n_layers": 3, "n_heads": 5, "hidden_dim": 37, "max_position_embeddings": 23}
GPT = {"vocab_size": WORDS, "n_embd": 30, "n_layer": 3, "n_head": 5, "n_positions": 23}
LLAMA = {"vocab_size": WORDS, "hidden_size": 30, "num_hidden_layers": 3, "num_attention_heads": 6}
LLAMA |= {"intermediate_size": 37, "num_key_value_heads": 3, "head_dim": 14, "max_position_embeddings": 23}
LLAMA |= {"bos_token_id": 2, "eos_token_id": 3}
LLAMA_3 = {"rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LLAMA_3 |= {"original_max_position_embeddings": 16}
WINDOWED = {"use_sliding_window": True, "sliding_window": 5, "max_window_layers": 0}

# name → published class, its configuration's class, settings
CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "bert": ("BertModel", "BertConfig", ENCODER),
    "bert-relu-one-segment": ("BertModel", "BertConfig", ENCODER | {"hidden_act": "relu", "type_vocab_size": 1}),
    "bert-masked": ("BertForMaskedLM", "BertConfig", ENCODER),
    "bert-masked-untied": ("BertForMaskedLM", "BertConfig", ENCODER | {"tie_word_embeddings": False}),
    "bert-texts": ("BertForSequenceClassification", "BertConfig", ENCODER | {"num_labels": 7}),
    "bert-tokens": ("BertForTokenClassification", "BertConfig", ENCODER | {"num_labels": 7}),
    "roberta-texts": ("RobertaForSequenceClassification", "RobertaConfig", ENCODER | {"num_labels": 3}),
    "roberta-tokens": ("RobertaForTokenClassification", "RobertaConfig", ENCODER),
    "distilbert-tokens": ("DistilBertForTokenClassification", "DistilBertConfig", DISTIL | {"num_labels": 7}),
    "roberta": ("RobertaModel", "RobertaConfig", ENCODER),
    "roberta-masked": ("RobertaForMaskedLM", "RobertaConfig", ENCODER | {"hidden_act": "gelu_new", "pad_token_id": 3}),
    "distilbert": ("DistilBertModel", "DistilBertConfig", DISTIL),
    "distilbert-masked": ("DistilBertForMaskedLM", "DistilBertConfig", DISTIL | {"activation": "relu"}),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", GPT),
    "gpt2-bare": ("GPT2Model", "GPT2Config", GPT),
    "gpt2-unscaled-untied": (
        "GPT2LMHeadModel",
        "GPT2Config",
        GPT | {"scale_attn_weights": False, "tie_word_embeddings": False, "n_inner": 41, "activation_function": "relu"},
    ),
    "llama": ("LlamaForCausalLM", "LlamaConfig", LLAMA),
    "llama-3": ("LlamaForCausalLM", "LlamaConfig", LLAMA | {"rope_parameters": LLAMA_3, "tie_word_embeddings": True}),
    "llama-biases-linear": (
        "LlamaForCausalLM",
        "LlamaConfig",
        LLAMA
        | {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"}
        | {"rope_parameters": {"rope_type": "linear", "factor": 2.5, "rope_theta": 700.0}},
    ),
    "mistral": ("MistralForCausalLM", "MistralConfig", LLAMA | {"sliding_window": 5}),
    "mistral-no-window": ("MistralForCausalLM", "MistralConfig", LLAMA | {"sliding_window": None}),
    "qwen2": (
        "Qwen2ForCausalLM",
        "Qwen2Config",
        {k: v for k, v in LLAMA.items() if k != "head_dim"} | {"hidden_size": 36},
    ),
    "qwen2-window": (
        "Qwen2ForCausalLM",
        "Qwen2Config",
        {k: v for k, v in LLAMA.items() if k != "head_dim"} | {"hidden_size": 36} | WINDOWED,
    ),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", LLAMA),
    "qwen3-window-biases": ("Qwen3ForCausalLM", "Qwen3Config", LLAMA | WINDOWED | {"attention_bias": True}),
}
ENCODERS = [name for name in CASES if name.startswith(("bert", "roberta", "distilbert"))]
DECODERS = [name for name in CASES if name not in ENCODERS]


def original(name: str) -> Any:
    """The model of this case in evaluation mode, its weights from a fixed seed."""
    model_class, config_class, settings = CASES[name]
    config = getattr(transformers, config_class)(**settings)
    torch.manual_seed(7)
    model = getattr(transformers, model_class)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def saved(name: str, folder: Path, prepare: Callable[[Any], Any] = lambda model: model) -> tuple[Any, Path]:
    """The model and a directory it was saved to."""
    model = prepare(original(name))
    model.save_pretrained(folder)
    return model, folder


def tokens(rows: int, columns: int, lowest: int = 5) -> torch.Tensor:
    """Ids (rows, columns) above all special ones."""
    return torch.randint(lowest, WORDS, (rows, columns), generator=torch.Generator().manual_seed(rows * 31 + columns))


def agree(ours: torch.Tensor, theirs: torch.Tensor, tolerance: float = 2e-4) -> None:
    """Equal but for ``tolerance`` times the largest value."""
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() <= tolerance * theirs.abs().max()
