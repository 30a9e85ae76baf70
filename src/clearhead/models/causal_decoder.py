"""The decoder by itself: causal self-attention over one sequence, whole or a token at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clearhead.layers.block import BlockSizes, EncoderBlock
from clearhead.layers.embedding import Embedding
from clearhead.mechanism import masks
from clearhead.mechanism.cache import KeyValueCache
from clearhead.mechanism.positions import RelativePositions
from clearhead.models.parts import final_norm
from clearhead.models.sight import Sight, keys_of, places_among


class CausalDecoder(nn.Module):
    """ids (B, T) → states (B, T, W), each position seeing itself and what stands before it."""

    def __init__(
        self, embedding: Embedding, sizes: BlockSizes, layers: int, positions: RelativePositions | None, sight: Sight
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.ModuleList(EncoderBlock(sizes) for _ in range(layers))
        self.norm = final_norm(sizes)
        self.positions = positions
        self.sight = sight

    def forward(
        self,
        ids: Tensor,
        documents: Tensor | None = None,
        real: Tensor | None = None,
        *,
        shown: Tensor | None = None,
    ) -> Tensor:
        """``documents`` (B, T) int64 numbers the documents packed into a row: no position sees another document, and
        positions count from 0 in each. ``real`` (B, T) bool is for norms that look at several positions. Where
        ``shown`` (B, T) bool is False nobody looks, and no position is counted."""
        places = None if documents is None else places_within(documents)
        places = places_among(shown) if documents is None and shown is not None else places
        x = self.embedding(ids, places=places)
        mask = self.sight.whole(None if documents is None else masks.documents(documents), keys_of(shown))
        relative = None if self.positions is None else self.positions.at(0, ids.shape[1], x)
        for block in self.blocks:
            x = block(x, mask, None, relative, real)
        states: Tensor = self.norm(x, real)
        return states

    def extend(self, ids: Tensor, cache: KeyValueCache) -> Tensor:
        """New tokens ids (N, t), behind what the cache holds → (N, t, W)."""
        count = ids.shape[1]
        cache.reserve(count)
        x = self.embedding(ids, start=cache.length)
        mask = self.sight.newest(cache.length, count, x.device) if cache.length else self.sight.whole()
        relative = None if self.positions is None else self.positions.at(cache.length, count, x)
        for index, block in enumerate(self.blocks):
            x = block(x, mask, cache.layer(index), relative)
        cache.length += count
        states: Tensor = self.norm(x)
        return states


def places_within(documents: Tensor) -> Tensor:
    """Where each position stands in its document: documents (B, T) int64 → (B, T) int64, 0 where the number changes."""
    places = torch.arange(documents.shape[1], device=documents.device).expand_as(documents)
    begins = torch.ones_like(documents, dtype=torch.bool)
    begins[:, 1:] = documents[:, 1:] != documents[:, :-1]
    return places - places.where(begins, 0).cummax(1).values
