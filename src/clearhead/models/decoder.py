"""The decoder of an encoder–decoder: causal self-attention, and cross-attention to the encoder's states."""

from __future__ import annotations

from torch import Tensor, nn

from clearhead.layers.block import BlockSizes, DecoderBlock
from clearhead.layers.embedding import Embedding
from clearhead.mechanism.cache import KeyValueCache
from clearhead.mechanism.masks import Mask
from clearhead.mechanism.positions import RelativePositions
from clearhead.models.parts import final_norm
from clearhead.models.sight import Sight

Memory = list[tuple[Tensor, Tensor]]
CAUSAL = Sight(causal=True)


class CrossDecoder(nn.Module):
    """target ids (B, T) and the projected source → states (B, T, W)."""

    def __init__(
        self,
        embedding: Embedding,
        sizes: BlockSizes,
        layers: int,
        positions: RelativePositions | None = None,
        sight: Sight = CAUSAL,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.ModuleList(DecoderBlock(sizes) for _ in range(layers))
        self.norm = final_norm(sizes)
        self.positions = positions
        self.sight = sight

    def project(self, states: Tensor) -> Memory:
        """Cross-attention keys and values of every layer from the encoder's states (B, S, W), once per sentence."""
        return [block.cross_attention.project(states) for block in self.blocks]  # type: ignore[operator, union-attr]

    def forward(self, ids: Tensor, memory: Memory, memory_mask: Mask | None, real: Tensor | None = None) -> Tensor:
        """Teacher forcing: all target positions at once, each seeing only what stands before it.

        ``real`` (B, T) bool is for norms that look at several positions; the masks need not know of target padding.
        """
        x, mask = self.embedding(ids), self.sight.whole()
        relative = None if self.positions is None else self.positions.at(0, ids.shape[1], x)
        for block, layer_memory in zip(self.blocks, memory, strict=True):
            x = block(x, mask, layer_memory, memory_mask, relative, real)
        states: Tensor = self.norm(x, real)
        return states

    def advance(self, ids: Tensor, memory: Memory, memory_mask: Mask | None, cache: KeyValueCache) -> Tensor:
        """One new token for each of K hypotheses of B sentences: ids (B, K) → (B, K, W); the cache grows by one."""
        cache.reserve(1)
        x = self.embedding(ids.reshape(-1, 1), start=cache.length).view(*ids.shape, -1)
        mask = self.sight.newest(cache.length, 1, x.device)
        relative = None if self.positions is None else self.positions.at(cache.length, 1, x)
        for index, (block, layer_memory) in enumerate(zip(self.blocks, memory, strict=True)):
            x = block.advance(x, layer_memory, memory_mask, cache.layer(index), mask, relative)  # type: ignore[operator]
        cache.length += 1
        states: Tensor = self.norm(x)
        return states
