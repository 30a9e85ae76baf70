"""The encoder: a stack of blocks in which every position may look at every real position."""

from __future__ import annotations

from torch import Tensor, nn

from clearhead.layers.block import BlockSizes, EncoderBlock
from clearhead.mechanism.masks import Mask
from clearhead.mechanism.positions import RelativePositions
from clearhead.models.parts import final_norm
from clearhead.models.sight import Sight, keys_of

EVERYTHING = Sight()


class Encoder(nn.Module):
    """ids (B, S) → states (B, S, W). ``embedding`` turns whatever comes in into a stream (B, S, W)."""

    def __init__(
        self,
        embedding: nn.Module,
        sizes: BlockSizes,
        layers: int,
        positions: RelativePositions | None = None,
        sight: Sight = EVERYTHING,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.blocks = nn.ModuleList(EncoderBlock(sizes) for _ in range(layers))
        self.norm = final_norm(sizes)
        self.positions = positions
        self.sight = sight

    def forward(self, ids: Tensor, real: Tensor | None = None) -> Tensor:
        """``real`` (B, S) bool says which positions are no padding; None means all."""
        return self.over(self.embedding(ids), real)

    def over(self, x: Tensor, real: Tensor | None = None, visible: Mask | None = None) -> Tensor:
        """The stack over a stream x (B, S, W) that is embedded already; ``visible`` narrows who may look at whom."""
        mask = self.sight.whole(keys_of(real), visible)
        relative = None if self.positions is None else self.positions.at(0, x.shape[1], x)
        for block in self.blocks:
            x = block(x, mask, None, relative, real)
        states: Tensor = self.norm(x, real)
        return states
