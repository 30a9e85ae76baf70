"""Marian's translators (Junczys-Dowmunt et al. 2018, arXiv 1804.00344), as published for many pairs of languages.

BART's blocks with the paper's sinusoids, all sines in front of all cosines; one vocabulary, or one a side.
"""

from __future__ import annotations

from typing import Any

from clearhead.models.config import ModelConfig
from clearhead.models.details import InputSettings
from clearhead.pretrained.bart import INERT, described, scale, seq2seq_settings, stack_rows
from clearhead.pretrained.family import Contents, Family
from clearhead.pretrained.published import Published
from clearhead.pretrained.rows import Row


def configure(settings: Published, contents: Contents) -> ModelConfig:
    """From Marian's settings."""
    settings.must("normalize_embedding", False, "Marian's models have no norm after the embedding")
    settings.must("static_position_embeddings", True, "Marian's positions are sinusoids")
    settings.must("tie_word_embeddings", True, "the output matrix of Marian's models is the target embedding")
    fields = seq2seq_settings(settings, contents)
    shared = settings.flag("share_encoder_decoder_embeddings", True)
    fields["target_vocabulary"] = settings.size("decoder_vocab_size", fields["source_vocabulary"])
    into = InputSettings(scale=scale(settings))
    return ModelConfig(**fields, positions="sinusoidal_halves", input=into, tie="all" if shared else "target")


def describe(config: ModelConfig) -> dict[str, Any]:
    """Marian's settings of a configuration."""
    return described(config) | {
        "architectures": ["MarianMTModel"],
        "decoder_vocab_size": config.target_vocabulary,
        "share_encoder_decoder_embeddings": config.tie == "all",
        "tie_word_embeddings": config.tie != "none",
    }


def rows(config: ModelConfig) -> list[Row]:
    """All tensors."""
    if config.tie == "all":
        return [Row("encoder.embedding.tokens.weight", ("model.shared.weight",)), *stack_rows(config)]
    sides = [
        Row(f"{side}.embedding.tokens.weight", (f"model.{side}.embed_tokens.weight",))
        for side in ("encoder", "decoder")
    ]
    return [*sides, *stack_rows(config)]


def copies(config: ModelConfig) -> dict[str, str]:
    """Names that a file may hold besides, each with the one it must equal."""
    if config.tie != "all":
        return {"lm_head.weight": "model.decoder.embed_tokens.weight"}
    names = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
    return dict.fromkeys(names, "model.shared.weight")


MARIAN = Family(
    name="marian",
    kind="encoder-decoder",
    architectures=("MarianMTModel", "MarianModel"),
    configure=configure,
    describe=describe,
    rows=rows,
    inner="model.",
    inert=INERT,
    unused=(r"(model\.)?(encoder|decoder)\.embed_positions\.weight",),  # sinusoids, which are computed here
    copies_in=copies,
)
