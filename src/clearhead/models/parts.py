"""The pieces every architecture is assembled from, out of one configuration."""

from __future__ import annotations

from torch import nn

from clearhead.layers.block import BlockSizes
from clearhead.layers.embedding import POSITIONS, Embedding
from clearhead.mechanism.multihead import HeadSizes
from clearhead.models.config import ModelConfig


def block_sizes(config: ModelConfig) -> BlockSizes:
    """What the configuration says about a block."""
    heads = HeadSizes(config.width, config.heads, config.kv_heads, config.head_width, config.value_head_width)
    return BlockSizes(
        heads=heads,
        feedforward=config.feedforward,
        activation=config.activation,
        norm_order=config.norm_order,
        norm_epsilon=config.norm_epsilon,
        dropout=config.dropout,
        attention_dropout=config.attention_dropout,
        feedforward_dropout=config.feedforward_dropout,
    )


def embedding(config: ModelConfig, tokens: nn.Embedding) -> Embedding:
    """Token rows plus positions; each side has positions of its own."""
    positions = POSITIONS[config.positions](config.max_positions, config.width)
    return Embedding(tokens, positions, config.max_positions, config.dropout)


def final_norm(sizes: BlockSizes) -> nn.Module:
    """A pre-norm stack leaves its stream unnormalised, so one norm follows it; a post-norm stack has had its last."""
    return nn.LayerNorm(sizes.heads.width, eps=sizes.norm_epsilon) if sizes.norm_order == "pre" else nn.Identity()
