"""What a model costs, from its configuration alone: parameters, arithmetic and memory, before anything is allocated.

The parameter count equals that of the built model exactly. Arithmetic counts 2 operations per multiply–add of the
matrix products of one forward pass; a training step is three times that (one product forward, two backward).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearhead.models.config import GATED, ModelConfig
from clearhead.models.pruning import heads_left

Counts = dict[str, int]
NORM_ROWS = {"layer": 2, "rms": 1, "batch": 2, "none": 0}  # parameters of a norm, in widths
POOLING = {"attention": 2, "first_tanh": 1}  # rows of a pooling with weights, beside its square matrix
STATISTICS_ROWS = 2  # of batch normalisation, beside its parameters


@dataclass(frozen=True, slots=True)
class Account:
    """Parameters and forward FLOPs per token by component, and bytes at one sequence of ``length`` in float32."""

    parameters: Counts
    flops_per_token: Counts
    memory: Counts
    length: int
    statistics: int = 0

    @property
    def total(self) -> int:
        """All parameters; a shared matrix counts once."""
        return sum(self.parameters.values())

    @property
    def stored(self) -> int:
        """All numbers in a file of weights: the parameters, and the running statistics of batch normalisation."""
        return self.total + self.statistics

    def as_dict(self) -> dict[str, object]:
        """The account as plain data."""
        return {
            "total_parameters": self.total,
            "parameters": self.parameters,
            "flops_per_token": self.flops_per_token,
            "total_flops_per_token": sum(self.flops_per_token.values()),
            "memory_bytes": self.memory,
            "length": self.length,
        }


def account(config: ModelConfig, *, length: int = 128) -> Account:
    """The account of ``config`` for sequences of ``length`` positions (on both sides, where there are two)."""
    parameters, flops, memory = COUNTED[config.body]
    statistics = STATISTICS_ROWS * _norms(config) * config.width if _keeps_statistics(config) else 0
    return Account(
        {name: count for name, count in parameters(config).items() if count},
        {name: count for name, count in flops(config, length).items() if count},
        {name: count for name, count in memory(config, length).items() if count},
        length,
        statistics,
    )


def layers_of(config: ModelConfig) -> tuple[int, int]:
    """Layers of the encoder and of the decoder; 0 where the architecture has none."""
    encoder = 0 if config.architecture == "decoder" else config.encoder_layers
    return encoder, 0 if config.architecture == "encoder" else config.decoder_layers


def _left(config: ModelConfig, stack: str, kind: str) -> list[tuple[int, int]]:
    """Heads and key/value heads of every attention of one kind."""
    names = config.attentions()
    return [heads_left(config, name) for name in names if name.startswith(stack) and name.endswith(kind)]


def _attention(config: ModelConfig, heads: int, groups: int) -> int:
    """Parameters of one multi-head attention: W_q, W_k, W_v, W_o, their biases, and the score's. The head count does
    not enter when D = M = W / H and the score has no weights."""
    queries = heads * config.head_width
    keys, values = groups * config.head_width, groups * config.value_head_width
    into = (config.width + config.biases.query_key_value) * (queries + keys + values)
    out = (heads * config.value_head_width + config.biases.attention_output) * config.width
    return into + out + heads * _score(config)


def _attentions(config: ModelConfig, stack: str, kind: str) -> int:
    """Parameters of all attentions of one kind."""
    return sum(_attention(config, heads, groups) for heads, groups in _left(config, stack, kind))


def _score(config: ModelConfig) -> int:
    """Parameters of the score in one head."""
    key, hidden = config.head_width, config.hidden_of_score
    return {"additive": 2 * key * hidden + hidden, "bilinear": key * key}.get(config.score, 0)


def _feedforward(config: ModelConfig) -> int:
    into = 2 if config.activation in GATED else 1
    bias = config.biases.feedforward
    return (config.width + bias) * into * config.feedforward + (config.feedforward + bias) * config.width


def _norms(config: ModelConfig) -> int:
    """How many norms there are: one a sublayer, one at the end of a stack, at its input, in the transform of a head."""
    encoder, decoder = layers_of(config)
    stacks = 2 if config.architecture == "encoder-decoder" else 1
    cross = decoder if stacks == 2 else 0
    at_input = stacks * config.input.norm * (config.input_width is None)
    return 2 * encoder + 2 * decoder + cross + stacks * config.ends_in_norm + at_input + _transforms(config)


def _transforms(config: ModelConfig) -> bool:
    return config.architecture == "encoder" and config.head.kind == "vocabulary"


def _norms_of_heads(config: ModelConfig) -> int:
    """Parameters of the norms of queries and keys, in every self-attention."""
    return 2 * config.head_width * sum(layers_of(config)) * config.query_key_norm


def _keeps_statistics(config: ModelConfig) -> bool:
    return config.norm == "batch" and config.body == "transformer"


def _ends(config: ModelConfig) -> Counts:
    """Parameters of the ways in and out: embeddings, n-grams, vectors' map, pooling, output."""
    width, both = config.width, config.architecture == "encoder-decoder"
    tokens = config.architecture != "decoder" and config.input_width is None
    target = 0 if config.architecture == "encoder" else config.target_vocabulary * width
    return {
        "source embedding": config.source_vocabulary * width if tokens else 0,
        "segments": config.input.segments * width if tokens else 0,
        "n-grams": config.ngram_buckets * width,
        "input map": (config.input_width + 1) * width if config.input_width else 0,
        "target embedding": 0 if both and config.one_embedding else target,
        "pooling": width * (width + POOLING[config.pooling]) if config.pooling in POOLING else 0,
        "head": width * (width + 1) if _transforms(config) else 0,
        "output matrix": _output(config),
    }


def _output(config: ModelConfig) -> int:
    """Parameters of the output matrix and its bias; a matrix that is an embedding too has been counted there."""
    rows, bias = _entries(config), config.output_bias
    tied = config.output_is_embedding and (config.architecture != "encoder" or _transforms(config))
    return rows * (bias + (0 if tied else config.width))


def _entries(config: ModelConfig) -> int:
    """What the output matrix scores: classes, or the entries of a vocabulary."""
    if config.architecture != "encoder":
        return config.target_vocabulary
    return {"classes": config.classes, "vocabulary": config.source_vocabulary, "none": 0}[config.head.kind]


def _parameters(config: ModelConfig) -> Counts:
    encoder, decoder = layers_of(config)
    stacks = 2 if config.architecture == "encoder-decoder" else 1
    learned = (config.input.first_position + config.max_positions) * config.width
    positions = {"learned": learned, "t5": config.buckets.count * config.heads}
    return _ends(config) | {
        "positions": stacks * positions.get(config.positions, 0),
        "encoder attention": _attentions(config, "encoder", "self"),
        "encoder feed-forward": encoder * _feedforward(config),
        "decoder self-attention": _attentions(config, "decoder", "self"),
        "decoder cross-attention": _attentions(config, "decoder", "cross"),
        "decoder feed-forward": decoder * _feedforward(config),
        "norms": _norms(config) * NORM_ROWS[config.norm] * config.width + _norms_of_heads(config),
    }


def _flops(config: ModelConfig, length: int) -> Counts:
    """Forward operations for one token a side, the attention maps at ``length`` included."""
    encoder, decoder = layers_of(config)
    ahead, back, cross = (
        _left(config, *kind) for kind in (("encoder", "self"), ("decoder", "self"), ("decoder", "cross"))
    )
    a_pair = config.hidden_of_score if config.score == "additive" else config.head_width
    a_head = 2 * (a_pair + config.value_head_width)
    maps, back_maps, cross_maps = (a_head * sum(heads for heads, _ in kind) for kind in (ahead, back, cross))
    network = (6 if config.activation in GATED else 4) * config.width * config.feedforward
    return _flops_of_ends(config) | {
        "encoder attention projections": sum(_projections(config, *left) for left in ahead),
        "encoder attention maps": maps * _seen(config, length, causal=False),
        "encoder feed-forward": encoder * network,
        "decoder attention projections": sum(_projections(config, *left) for left in back + cross),
        "decoder attention maps": back_maps * _seen(config, length, causal=True) + cross_maps * length,
        "decoder feed-forward": decoder * network,
    }


def _projections(config: ModelConfig, heads: int, groups: int) -> int:
    """Operations of one attention on one token, before and behind the map."""
    read = heads * config.head_width + groups * (config.head_width + config.value_head_width)
    return 2 * config.width * (read + heads * config.value_head_width) + heads * _into_score(config)


def _into_score(config: ModelConfig) -> int:
    """Operations in one head on one query and one key, before they meet."""
    key, hidden = config.head_width, config.hidden_of_score
    return {"additive": 4 * key * hidden, "bilinear": 2 * key * key}.get(config.score, 0)


def _seen(config: ModelConfig, length: int, *, causal: bool) -> int:
    """Keys that a query meets; a causal map is computed whole, as a plain product does."""
    if config.window is None:
        return length
    return min(length, config.window + 1 + (0 if causal else config.window))


def _flops_of_ends(config: ModelConfig) -> Counts:
    pooling = {"attention": config.width + 2, "first_tanh": config.width}.get(config.pooling, 0)
    return {
        "input map": 2 * config.width * (config.input_width or 0),
        "pooling": 2 * config.width * pooling,
        "head": 2 * config.width * config.width if _transforms(config) else 0,
        "output matrix": 2 * config.width * _entries(config),
    }


def _memory(config: ModelConfig, length: int) -> Counts:
    """Bytes in float32: weights; training state; one sequence's activations; one layer's map, which only the textbook
    way keeps; the decoder's cache."""
    total, (encoder, decoder) = sum(_parameters(config).values()), layers_of(config)
    inside = (3 if config.activation in GATED else 2) * config.feedforward
    back, ahead = _left(config, "decoder", "self"), _left(config, "encoder", "self")
    heads = [each for each, _ in ahead + back]
    per_position = (encoder + decoder) * (10 * config.width + inside) + 4 * sum(heads) * config.head_width
    cached = max((groups for _, groups in back), default=0) * (config.head_width + config.value_head_width)
    return {
        "weights": 4 * total,
        "gradients and AdamW moments": 12 * total,
        "activations of one sequence": 4 * per_position * length,
        "attention map of one layer (textbook only)": 4 * max(heads, default=config.heads) * length * length,
        "decoder cache of one hypothesis": 4 * decoder * cached * length,
    }


def _lstm(into: int, hidden: int) -> int:
    """Parameters of one ``torch.nn.LSTM`` layer one way: four gates, and two biases each."""
    return 4 * hidden * (into + hidden + 2)


def _lstm_parameters(config: ModelConfig) -> Counts:
    width, (encoder, decoder) = config.width, layers_of(config)
    both = config.architecture == "encoder-decoder"
    first = 2 * width if both else width
    return _ends(config) | {
        "encoder recurrence": encoder * 2 * _lstm(width, width // 2),
        "decoder recurrence": _lstm(first, width) + (decoder - 1) * _lstm(width, width) if decoder else 0,
        "decoder cross-attention": 3 * width * width + 2 * width if both else 0,
        "decoder start": (width + 1) * decoder * width if both else 0,
        "decoder mixing": (width + 1) * width if both else 0,
    }


def _lstm_flops(config: ModelConfig, length: int) -> Counts:
    """Forward operations for one token a side, every step of the decoder looking at ``length`` states."""
    width, (encoder, decoder) = config.width, layers_of(config)
    both = config.architecture == "encoder-decoder"
    fed = 8 * width * width if both else 0
    return _flops_of_ends(config) | {
        "encoder recurrence": encoder * 2 * 4 * width * (width + width // 2),
        "decoder recurrence": decoder * 16 * width * width + fed,
        "decoder attention projections": 3 * 2 * width * width if both else 0,
        "decoder attention maps": 4 * width * length if both else 0,
        "decoder mixing": 2 * width * width if both else 0,
    }


def _lstm_memory(config: ModelConfig, length: int) -> Counts:
    """Bytes in float32, as for a Transformer; a state of the recurrence takes the same at every length."""
    total, (encoder, decoder) = sum(_lstm_parameters(config).values()), layers_of(config)
    return {
        "weights": 4 * total,
        "gradients and AdamW moments": 12 * total,
        "activations of one sequence": 4 * (encoder + decoder) * 8 * config.width * length,
        "decoder state of one hypothesis": 4 * (2 * decoder + 1) * config.width if decoder else 0,
    }


Parameters = Callable[[ModelConfig], Counts]
AtLength = Callable[[ModelConfig, int], Counts]
COUNTED: dict[str, tuple[Parameters, AtLength, AtLength]] = {
    "transformer": (_parameters, _flops, _memory),
    "lstm": (_lstm_parameters, _lstm_flops, _lstm_memory),
}
