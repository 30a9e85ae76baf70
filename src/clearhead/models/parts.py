"""The pieces every architecture is assembled from, out of one configuration and a user's own rules."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from clearhead.layers.block import BlockSizes
from clearhead.layers.embedding import (
    POSITIONS,
    Additions,
    Embedding,
    LearnedPositions,
    NoPositions,
    RuledPositions,
    Spelling,
    Vectors,
)
from clearhead.layers.norm import NORMS
from clearhead.mechanism.cache import KeyValueCache
from clearhead.mechanism.multihead import HeadSizes, Weighting
from clearhead.mechanism.positions import Alibi, Buckets, ByRule, RelativePositions, Rotary
from clearhead.mechanism.stretch import Stretch, as_they_are, linear, llama3
from clearhead.models.config import ModelConfig
from clearhead.models.details import RotarySettings
from clearhead.models.pruning import heads_left
from clearhead.models.rules import NONE, Rules
from clearhead.models.sight import Sight

FIRST_ROOM = 64  # positions a new cache has room for


def block_sizes(config: ModelConfig, rules: Rules = NONE) -> BlockSizes:
    """What the configuration says about a block."""
    heads = HeadSizes(
        config.width,
        config.heads,
        config.kv_heads,
        config.head_width,
        config.value_head_width,
        bias=config.biases.query_key_value,
        output_bias=config.biases.attention_output,
        norm_epsilon=config.norm_epsilon if config.query_key_norm else None,
    )
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
        final_norm=config.ends_in_norm,
        feedforward_bias=config.biases.feedforward,
        weighting=Weighting(rules.score or config.score, rules.normalize or config.normalizer, config.score_width),
    )


def embedding(config: ModelConfig, tokens: nn.Embedding, rules: Rules = NONE) -> Embedding:
    """Token rows plus positions; each side has positions of its own."""
    width, into = config.width, config.input
    additions = Additions(
        spelling=Spelling(config.ngram_buckets, width) if config.ngram_buckets else None,
        segments=nn.Embedding(into.segments, width) if into.segments else None,
        norm=NORMS[config.norm](width, config.norm_epsilon) if into.norm else None,
    )
    return Embedding(
        tokens,
        added_positions(config, rules),
        config.max_positions,
        input_dropout(config),
        config.token_dropout,
        additions,
        into.scale,
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
    if config.positions == "learned" and config.body == "transformer":
        return LearnedPositions(config.max_positions, config.width, config.input.first_position)
    kind = NoPositions if config.body == "lstm" else POSITIONS.get(config.positions, NoPositions)
    return kind(config.max_positions, config.width)


RELATIVE: dict[str, Callable[[ModelConfig, bool], RelativePositions]] = {
    "rotary": lambda config, causal: Rotary(config.head_width, config.rotary.base, stretch_of(config.rotary)),
    "alibi": lambda config, causal: Alibi(config.heads),
    "t5": lambda config, causal: Buckets(
        config.heads, causal=causal, buckets=config.buckets.count, farthest=config.buckets.farthest
    ),
}


def relative_positions(config: ModelConfig, *, causal: bool, rules: Rules = NONE) -> RelativePositions | None:
    """Positions that act inside the self-attention of one stack, if any do."""
    if rules.by_distance is not None:
        return ByRule(rules.by_distance, config.heads)
    return RELATIVE[config.positions](config, causal) if config.positions in RELATIVE else None


STRETCHES: dict[str, Callable[[RotarySettings], Stretch]] = {
    "none": lambda rotary: as_they_are,
    "linear": lambda rotary: linear(rotary.factor),
    "llama3": lambda rotary: llama3(rotary.factor, rotary.slow, rotary.fast, rotary.original_positions),
}


def stretch_of(rotary: RotarySettings) -> Stretch:
    """How the frequencies of rotary positions are slowed down."""
    return STRETCHES[rotary.scaling](rotary)


def sight(config: ModelConfig, *, causal: bool) -> Sight:
    """Who may look at whom in the self-attention of one stack."""
    return Sight(causal, config.window, config.mask_self)


def final_norm(sizes: BlockSizes) -> nn.Module:
    """A pre-norm stack leaves its stream unnormalised, so one norm follows it; a post-norm stack has had its last."""
    return NORMS[sizes.norm if sizes.final_norm else "none"](sizes.heads.width, sizes.norm_epsilon)


def needs_padding(config: ModelConfig) -> bool:
    """Whether the norms have to be told what is padding."""
    return config.norm == "batch"


def most_groups(config: ModelConfig) -> int:
    """The key/value heads of the decoder's self-attention that has most of them."""
    names = [name for name in config.attentions() if name.startswith("decoder") and name.endswith("self")]
    return max((heads_left(config, name)[1] for name in names), default=config.kv_heads)


def new_cache(config: ModelConfig, rows: int, positions: int, like: Tensor) -> KeyValueCache:
    """An empty cache for the decoder's self-attention, of the dtype and device of ``like``."""
    room = (config.decoder_layers, rows, most_groups(config), min(positions, FIRST_ROOM))
    return KeyValueCache(like.new_empty(*room, config.head_width), like.new_empty(*room, config.value_head_width))
