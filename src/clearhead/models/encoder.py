"""The encoder: a stack of blocks in which every position may look at every real position."""

from __future__ import annotations

from torch import Tensor, nn

from clearhead.layers.block import BlockSizes, EncoderBlock
from clearhead.layers.embedding import Embedding
from clearhead.mechanism.masks import Mask
from clearhead.models.parts import final_norm


class Encoder(nn.Module):
    """ids (B, S) → states (B, S, W)."""

    def __init__(self, embedding: Embedding, sizes: BlockSizes, layers: int) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.ModuleList(EncoderBlock(sizes) for _ in range(layers))
        self.norm = final_norm(sizes)

    def forward(self, ids: Tensor, mask: Mask | None = None) -> Tensor:
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, mask)
        states: Tensor = self.norm(x)
        return states
