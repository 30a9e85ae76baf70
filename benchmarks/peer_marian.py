"""transformers' Marian in the same sizes, built from its own configuration with random weights."""

from __future__ import annotations

from typing import Any

from clearhead.models.config import ModelConfig
from clearhead.text.tokenizer import END, PAD, START


def marian(config: ModelConfig) -> Any:
    """A MarianMTModel of the sizes of ``config``, with our symbol numbers."""
    from transformers import MarianConfig, MarianMTModel

    return MarianMTModel(
        MarianConfig(
            vocab_size=config.target_vocabulary,
            d_model=config.width,
            encoder_layers=config.encoder_layers,
            decoder_layers=config.decoder_layers,
            encoder_attention_heads=config.heads,
            decoder_attention_heads=config.heads,
            encoder_ffn_dim=config.feedforward,
            decoder_ffn_dim=config.feedforward,
            dropout=config.dropout,
            max_position_embeddings=512,
            pad_token_id=PAD,
            eos_token_id=END,
            decoder_start_token_id=START,
            forced_eos_token_id=None,
        )
    )
