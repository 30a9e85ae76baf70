"""The pieces every architecture is assembled from, out of one configuration and a user's own rules."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from clearhead.layers.block import BlockSizes
from clearhead.layers.embedding import POSITIONS, Embedding, NoPositions, RuledPositions, Spelling, Vectors
from clearhead.layers.norm import NORMS
from clearhead.mechanism.cache import KeyValueCache
from clearhead.mechanism.multihead import HeadSizes, Weighting
from clearhead.mechanism.positions import Alibi, Buckets, ByRule, RelativePositions, Rotary
from clearhead.models.config import ModelConfig
from clearhead.models.rules import NONE, Rules
from clearhead.models.sight import Sight

FIRST_ROOM = 64  # positions a new cache has room for


def block_sizes(config: ModelConfig, rules: Rules = NONE) -> BlockSizes:
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
        norm=config.norm,
        weighting=Weighting(rules.score or config.score, rules.normalize or config.normalizer, config.score_width),
    )


def embedding(config: ModelConfig, tokens: nn.Embedding, rules: Rules = NONE) -> Embedding:
    """Token rows plus positions; each side has positions of its own."""
    spelling = Spelling(config.ngram_buckets, config.width) if config.ngram_buckets else None
    return Embedding(
        tokens,
        added_positions(config, rules),
        config.max_positions,
        input_dropout(config),
        config.token_dropout,
        spelling,
    )


def vectors(config: ModelConfig, rules: Rules = NONE) -> Vectors:
    """The way in for vectors of ``input_width``."""
    features = config.input_width or config.width
    return Vectors(features, config.width, added_positions(config, rules), config.max_positions, input_dropout(config))


def input_dropout(config: ModelConfig) -> float:
    """The dropout on what enters the stack."""
    return config.dropout if config.embedding_dropout is None else config.embedding_dropout


def added_positions(config: ModelConfig, rules: Rules = NONE) -> nn.Module:
    """Positions that are added to the embedding, if any are; an LSTM knows the order by itself."""
    if rules.added is not None:
        return RuledPositions(config.max_positions, config.width, rules.added)
    kind = NoPositions if config.body == "lstm" else POSITIONS.get(config.positions, NoPositions)
    return kind(config.max_positions, config.width)


RELATIVE: dict[str, Callable[[ModelConfig, bool], RelativePositions]] = {
    "rotary": lambda config, causal: Rotary(config.head_width),
    "alibi": lambda config, causal: Alibi(config.heads),
    "t5": lambda config, causal: Buckets(config.heads, causal=causal),
}


def relative_positions(config: ModelConfig, *, causal: bool, rules: Rules = NONE) -> RelativePositions | None:
    """Positions that act inside the self-attention of one stack, if any do."""
    if rules.by_distance is not None:
        return ByRule(rules.by_distance, config.heads)
    return RELATIVE[config.positions](config, causal) if config.positions in RELATIVE else None


def sight(config: ModelConfig, *, causal: bool) -> Sight:
    """Who may look at whom in the self-attention of one stack."""
    return Sight(causal, config.window, config.mask_self)


def final_norm(sizes: BlockSizes) -> nn.Module:
    """A pre-norm stack leaves its stream unnormalised, so one norm follows it; a post-norm stack has had its last."""
    return NORMS[sizes.norm if sizes.norm_order == "pre" else "none"](sizes.heads.width, sizes.norm_epsilon)


def needs_padding(config: ModelConfig) -> bool:
    """Whether the norms have to be told what is padding."""
    return config.norm == "batch"


def new_cache(config: ModelConfig, rows: int, positions: int, like: Tensor) -> KeyValueCache:
    """An empty cache for the decoder's self-attention, of the dtype and device of ``like``."""
    room = (config.decoder_layers, rows, config.kv_heads, min(positions, FIRST_ROOM))
    return KeyValueCache(like.new_empty(*room, config.head_width), like.new_empty(*room, config.value_head_width))
