"""Settings of well-known models, as their files have them, against the numbers of parameters they are known to have.

Nothing is allocated: seven thousand million parameters are counted from a configuration.
"""

from __future__ import annotations

from typing import Any

import pytest

from clearhead.models.account import account
from clearhead.pretrained.family import configuration
from clearhead.pretrained.published import Published
from clearhead.pretrained.table import FAMILIES

BERT = {"vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
BERT |= {"intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2}
LLAMA_2 = {"vocab_size": 32000, "hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32}
LLAMA_2 |= {"intermediate_size": 11008, "max_position_embeddings": 4096, "rms_norm_eps": 1e-5}
LLAMA_32 = {"vocab_size": 128256, "hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32}
LLAMA_32 |= {"num_key_value_heads": 8, "intermediate_size": 8192, "head_dim": 64, "max_position_embeddings": 131072}
LLAMA_32 |= {"rope_theta": 500000.0, "tie_word_embeddings": True, "torch_dtype": "bfloat16"}
SCALING = {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "rope_type": "llama3"}
LLAMA_32 |= {"rope_scaling": SCALING | {"original_max_position_embeddings": 8192}}
MISTRAL = LLAMA_2 | {"intermediate_size": 14336, "num_key_value_heads": 8, "sliding_window": 4096}
QWEN_2 = {"vocab_size": 151936, "hidden_size": 896, "num_hidden_layers": 24, "num_attention_heads": 14}
QWEN_2 |= {"num_key_value_heads": 2, "intermediate_size": 4864, "max_position_embeddings": 131072}
QWEN_2 |= {"tie_word_embeddings": True, "use_sliding_window": False, "sliding_window": 131072, "max_window_layers": 24}
QWEN_3 = {"vocab_size": 151936, "hidden_size": 1024, "num_hidden_layers": 28, "num_attention_heads": 16}
QWEN_3 |= {"num_key_value_heads": 8, "head_dim": 128, "intermediate_size": 3072, "max_position_embeddings": 40960}
QWEN_3 |= {"tie_word_embeddings": True, "rope_scaling": None, "sliding_window": None, "use_sliding_window": False}
ROBERTA = BERT | {"vocab_size": 50265, "type_vocab_size": 1, "max_position_embeddings": 514, "pad_token_id": 1}
DISTIL = {"vocab_size": 30522, "dim": 768, "n_layers": 6, "n_heads": 12, "hidden_dim": 3072, "tie_weights_": True}
GPT = {"vocab_size": 50257, "n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "n_ctx": 1024}
T5 = {"vocab_size": 32128, "d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}
T5 |= {"is_encoder_decoder": True, "relative_attention_num_buckets": 32, "n_positions": 512}

KNOWN: list[tuple[str, str, dict[str, Any], int]] = [
    ("bert-base-uncased", "bert", BERT, 109_482_240),
    ("roberta-base", "roberta", ROBERTA, 124_645_632),
    ("distilbert-base-uncased", "distilbert", DISTIL, 66_362_880),
    ("gpt2", "gpt2", GPT, 124_439_808),
    ("Llama-2-7b", "llama", LLAMA_2, 6_738_415_616),
    ("Llama-3.2-1B", "llama", LLAMA_32, 1_235_814_400),
    ("Mistral-7B-v0.1", "mistral", MISTRAL, 7_241_732_096),
    ("Qwen2-0.5B", "qwen2", QWEN_2, 494_032_768),
    ("Qwen3-0.6B", "qwen3", QWEN_3, 596_049_920),
    ("t5-small", "t5", T5, 60_506_624),
]


@pytest.mark.parametrize(
    ("family", "settings", "parameters"), [row[1:] for row in KNOWN], ids=[row[0] for row in KNOWN]
)
def test_as_many_parameters_as_the_model_is_known_to_have(
    family: str, settings: dict[str, Any], parameters: int
) -> None:
    tensors = ["pooler.dense.weight", "lm_head.weight"] if family != "t5" else []
    config = configuration(FAMILIES[family], Published(settings), tensors)
    assert account(config).total == parameters
