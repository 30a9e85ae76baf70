"""What a model is, in one small frozen value: enough to build it, count it and estimate it, allocating nothing."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

Architecture = Literal["encoder-decoder", "encoder", "decoder"]
Positions = Literal["sinusoidal", "learned", "none"]
Activation = Literal["relu", "gelu", "silu"]
NormOrder = Literal["pre", "post"]
Ties = Literal["all", "target", "none"]
Initialisation = Literal["xavier_uniform", "xavier_normal", "normal", "depth_scaled"]

Size = Annotated[int, Field(ge=1, le=1 << 20)]
Layers = Annotated[int, Field(ge=0, le=1024)]
Probability = Annotated[float, Field(ge=0.0, lt=1.0)]


class ModelConfig(Settings):
    """Sizes and choices of one Transformer. Vocabulary sizes come from the tokenizers, not from the recipe's author.

    ``tie`` says which matrices are one: "all" (source embedding = target embedding = output, needs one shared
    vocabulary; section 3.4 of arXiv 1706.03762), "target" (target embedding = output), "none".
    """

    architecture: Architecture = "encoder-decoder"
    width: Size = 128
    encoder_layers: Layers = 4
    decoder_layers: Layers = 4
    heads: Size = 4
    key_value_heads: Size | None = None
    key_width: Size | None = None
    value_width: Size | None = None
    feedforward: Size = 256
    activation: Activation = "relu"
    norm_order: NormOrder = "pre"
    norm_epsilon: Annotated[float, Field(gt=0, lt=1)] = 1e-6
    positions: Positions = "sinusoidal"
    max_positions: Size = 1024
    dropout: Probability = 0.1
    attention_dropout: Probability = 0.0
    feedforward_dropout: Probability = 0.0
    tie: Ties = "all"
    initialisation: Initialisation = "xavier_uniform"
    source_vocabulary: Size = 8000
    target_vocabulary: Size = 8000

    @property
    def kv_heads(self) -> int:
        """G, the number of key/value heads; H unless grouped."""
        return self.key_value_heads or self.heads

    @property
    def head_width(self) -> int:
        """D, query and key width of one head."""
        return self.key_width or self.width // self.heads

    @property
    def value_head_width(self) -> int:
        """M, value width of one head."""
        return self.value_width or self.width // self.heads

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.key_width is None or self.value_width is None) and self.width % self.heads:
            raise ValueError(
                f"width {self.width} cannot be cut into {self.heads} equal heads: choose heads that divide width, "
                "or give key_width and value_width"
            )
        if self.heads % self.kv_heads:
            raise ValueError(f"key_value_heads {self.kv_heads} must divide heads {self.heads}")
        if self.tie == "all" and self.source_vocabulary != self.target_vocabulary:
            raise ValueError(
                'tie = "all" needs one shared vocabulary, but the source has '
                f"{self.source_vocabulary} entries and the target {self.target_vocabulary}"
            )
        return self
