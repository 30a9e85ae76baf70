"""How an encoder's states become one vector a text. It computes nothing itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clearhead.settings import Settings


class EmbeddingSettings(Settings):
    """``pooling``: "mean" over all tokens, special ones included, "first" token, or "model", what the model's own
    pooling makes of the first one (BERT's). ``normalize`` brings every vector to length 1, so that products are
    cosines. ``max_length``: more tokens of a text are not read, special ones included; as many as there are positions
    when left out. ``batch_tokens`` bounds a batch, and so memory; it changes no result.
    """

    pooling: Literal["mean", "first", "model"] = "mean"
    normalize: bool = True
    max_length: Annotated[int, Field(ge=1, le=1 << 20)] | None = None
    batch_tokens: Annotated[int, Field(ge=1, le=1 << 20)] = 4096
