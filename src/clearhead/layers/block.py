"""The blocks of the Transformer: attention and feed-forward, each in its residual (figure 1, arXiv 1706.03762)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from clearhead.layers.feedforward import feedforward
from clearhead.layers.residual import AROUND
from clearhead.mechanism.cache import LayerCache
from clearhead.mechanism.masks import Mask
from clearhead.mechanism.multihead import SCALED_DOT, CrossAttention, HeadSizes, SelfAttention, Weighting
from clearhead.mechanism.positions import Relative


@dataclass(frozen=True, slots=True)
class BlockSizes:
    """What a block is made of, and whether a norm ends the stack."""

    heads: HeadSizes
    feedforward: int
    activation: str
    norm_order: str
    norm_epsilon: float
    dropout: float
    attention_dropout: float
    feedforward_dropout: float
    norm: str = "layer"
    final_norm: bool = False
    feedforward_bias: bool = True
    weighting: Weighting = SCALED_DOT

    def residual(self) -> nn.Module:
        """Add & Norm in this block's order."""
        return AROUND[self.norm_order](self.heads.width, self.norm_epsilon, self.dropout, self.norm)

    def network(self) -> nn.Module:
        """The feed-forward network of this block."""
        width, hidden = self.heads.width, self.feedforward
        return feedforward(width, hidden, self.activation, self.feedforward_dropout, self.feedforward_bias)


class EncoderBlock(nn.Module):
    """Self-attention over the whole sequence, then the feed-forward network: x (B, S, W) → (B, S, W)."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        self.self_attention = SelfAttention(sizes.heads, sizes.attention_dropout, sizes.weighting)
        self.around_self = sizes.residual()
        self.feedforward = sizes.network()
        self.around_feedforward = sizes.residual()

    def forward(
        self,
        x: Tensor,
        mask: Mask | None = None,
        cache: LayerCache | None = None,
        relative: Relative | None = None,
        real: Tensor | None = None,
    ) -> Tensor:
        x = self.around_self(x, lambda y: self.self_attention(y, mask, cache, relative), real)
        x = self.around_feedforward(x, self.feedforward, real)
        return x


class DecoderBlock(nn.Module):
    """Masked self-attention, cross-attention to the encoder, feed-forward: x (B, T, W) → (B, T, W)."""

    def __init__(self, sizes: BlockSizes) -> None:
        super().__init__()
        self.self_attention = SelfAttention(sizes.heads, sizes.attention_dropout, sizes.weighting)
        self.around_self = sizes.residual()
        self.cross_attention = CrossAttention(sizes.heads, sizes.attention_dropout, sizes.weighting)
        self.around_cross = sizes.residual()
        self.feedforward = sizes.network()
        self.around_feedforward = sizes.residual()

    def forward(
        self,
        x: Tensor,
        mask: Mask | None,
        memory: tuple[Tensor, Tensor],
        memory_mask: Mask | None,
        relative: Relative | None = None,
        real: Tensor | None = None,
    ) -> Tensor:
        x = self.around_self(x, lambda y: self.self_attention(y, mask, None, relative), real)
        x = self.around_cross(x, lambda y: self.cross_attention(y, memory, memory_mask), real)
        x = self.around_feedforward(x, self.feedforward, real)
        return x

    def advance(
        self,
        x: Tensor,
        memory: tuple[Tensor, Tensor],
        memory_mask: Mask | None,
        cache: LayerCache,
        mask: Mask | None = None,
        relative: Relative | None = None,
    ) -> Tensor:
        """One new position for K hypotheses of each sentence: x (B, K, W) → (B, K, W).

        Hypotheses are rows of their own in self-attention and its cache, and K queries over one and the same memory in
        cross-attention, so the memory is never copied per hypothesis.
        """
        x = self.around_self(x, lambda y: self._one_each(y, mask, cache, relative))
        x = self.around_cross(x, lambda y: self.cross_attention(y, memory, memory_mask))
        x = self.around_feedforward(x, self.feedforward)
        return x

    def _one_each(self, x: Tensor, mask: Mask | None, cache: LayerCache, relative: Relative | None) -> Tensor:
        mixed: Tensor = self.self_attention(x.reshape(-1, 1, x.shape[-1]), mask, cache, relative)
        return mixed.view_as(x)
