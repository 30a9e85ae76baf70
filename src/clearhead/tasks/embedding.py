"""Texts as vectors: the states of an encoder pooled to one vector a text, of length 1 where that is asked for.

Mean pooling and cosines are those of Sentence-BERT (Reimers & Gurevych 2019, arXiv 1908.10084). Texts are sorted into
batches of bounded size and come back in their order; padding is masked, so a vector does not depend on its batch. What
a token is, the tokenizer knows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.tasks.embedding_settings import EmbeddingSettings


class Encodes(Protocol):
    """What this asks of a model."""

    def states(self, inputs: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The last layer: ids (B, T) int64, mask (B, T) bool → (B, T, W)."""

    def hidden(self, inputs: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """What the model's own pooling makes of it: (B, W)."""


def embed(
    model: Encodes, texts: Sequence[Sequence[int]], settings: EmbeddingSettings, *, pad: int, device: torch.device
) -> Tensor:
    """One vector a text, (N, W) float32 on the CPU; ``texts`` are ids with everything that surrounds a text.

    Raises:
        ConfigurationError: a text has no token at all, or the model has no pooling of its own.
    """
    if not all(texts):
        raise ConfigurationError("a text needs at least one token, but the tokenizer gave none and surrounds none")
    vectors: list[Tensor] = [torch.empty(0)] * len(texts)
    with torch.inference_mode():
        for places in batches([len(text) for text in texts], settings.batch_tokens):
            ids, mask = rectangle([texts[place] for place in places], pad)
            pooled = pool(model, ids.to(device), mask.to(device), settings).cpu()
            for place, vector in zip(places, pooled, strict=True):
                vectors[place] = vector
    return torch.stack(vectors) if vectors else torch.empty(0, 0)


def pool(model: Encodes, ids: Tensor, mask: Tensor, settings: EmbeddingSettings) -> Tensor:
    """ids (B, T) int64 where ``mask`` (B, T) is True → (B, W) float32."""
    if settings.pooling == "model":
        pooled = model.hidden(ids, mask=mask)
        if pooled.dim() != 2:
            raise ConfigurationError('pooling = "model" needs a model that pools by itself: choose "mean" or "first"')
    else:
        states = model.states(ids, mask=mask).float()
        shares = mask.float() if settings.pooling == "mean" else _first(mask).float()
        pooled = torch.einsum("bt,btw->bw", shares / shares.sum(1, keepdim=True), states)
    pooled = pooled.float()
    return torch.nn.functional.normalize(pooled, dim=1) if settings.normalize else pooled


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Places of the texts of each batch, longest first."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    start = 0
    while start < len(order):
        rows = max(1, batch_tokens // lengths[order[start]])
        yield order[start : start + rows]
        start += rows


def rectangle(texts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Texts with padding behind, (B, T) int64, and which positions are real."""
    longest = max(len(text) for text in texts)
    ids = torch.tensor([[*text, *[pad] * (longest - len(text))] for text in texts], dtype=torch.int64)
    return ids, torch.arange(longest) < torch.tensor([len(text) for text in texts])[:, None]


def _first(mask: Tensor) -> Tensor:
    """True at the first real position of each row."""
    return mask & (mask.cumsum(1) == 1)
