"""What a model costs, from its configuration alone: parameters, arithmetic and memory, before anything is allocated.

The parameter count equals that of the built model exactly. Arithmetic counts 2 operations per multiply–add of the
matrix products of one forward pass; a training step is three times that (one product forward, two backward).
"""

from __future__ import annotations

from dataclasses import dataclass

from clearhead.models.config import ModelConfig


@dataclass(frozen=True, slots=True)
class Account:
    """Parameters and forward FLOPs per token by component, and bytes at one sequence of ``length`` in float32."""

    parameters: dict[str, int]
    flops_per_token: dict[str, int]
    memory: dict[str, int]
    length: int

    @property
    def total(self) -> int:
        """All parameters; a shared matrix counts once."""
        return sum(self.parameters.values())

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
    """The account of ``config`` for sequences of ``length`` positions on both sides."""
    parameters = {name: count for name, count in _parameters(config).items() if count}
    return Account(parameters, _flops(config, length), _memory(config, length), length)


def _attention(config: ModelConfig) -> int:
    """Parameters of one multi-head attention: W_q, W_k, W_v, W_o with biases. The head count does not enter when
    D = M = W / H."""
    queries = config.heads * config.head_width
    keys, values = config.kv_heads * config.head_width, config.kv_heads * config.value_head_width
    into = (config.width + 1) * (queries + keys + values)
    return into + (config.heads * config.value_head_width + 1) * config.width


def _feedforward(config: ModelConfig) -> int:
    return (config.width + 1) * config.feedforward + (config.feedforward + 1) * config.width


def _parameters(config: ModelConfig) -> dict[str, int]:
    norm = 2 * config.width
    final = norm if config.norm_order == "pre" else 0
    learned = config.max_positions * config.width if config.positions == "learned" else 0
    encoder, decoder = config.encoder_layers, config.decoder_layers
    matrix = config.target_vocabulary * config.width
    return {
        "source embedding": config.source_vocabulary * config.width,
        "target embedding": 0 if config.tie == "all" else matrix,
        "output matrix": matrix if config.tie == "none" else 0,
        "positions": 2 * learned,
        "encoder attention": encoder * _attention(config),
        "encoder feed-forward": encoder * _feedforward(config),
        "decoder self-attention": decoder * _attention(config),
        "decoder cross-attention": decoder * _attention(config),
        "decoder feed-forward": decoder * _feedforward(config),
        "norms": (2 * encoder + 3 * decoder) * norm + 2 * final,
    }


def _flops(config: ModelConfig, length: int) -> dict[str, int]:
    """Forward operations for one source and one target token, the attention maps at ``length`` included."""
    read = config.heads * config.head_width + config.kv_heads * (config.head_width + config.value_head_width)
    projections = 2 * config.width * (read + config.heads * config.value_head_width)
    maps = 2 * config.heads * (config.head_width + config.value_head_width) * length
    network = 4 * config.width * config.feedforward
    return {
        "encoder attention projections": config.encoder_layers * projections,
        "encoder attention maps": config.encoder_layers * maps,
        "encoder feed-forward": config.encoder_layers * network,
        "decoder attention projections": 2 * config.decoder_layers * projections,
        "decoder attention maps": 2 * config.decoder_layers * maps,
        "decoder feed-forward": config.decoder_layers * network,
        "output matrix": 2 * config.width * config.target_vocabulary,
    }


def _memory(config: ModelConfig, length: int) -> dict[str, int]:
    """Bytes in float32: weights; training state; one sequence's activations; one layer's map, which only the textbook
    way keeps; the decoder's cache."""
    total, layers = sum(_parameters(config).values()), config.encoder_layers + config.decoder_layers
    per_position = 10 * config.width + 2 * config.feedforward + 4 * config.heads * config.head_width
    cached = config.kv_heads * (config.head_width + config.value_head_width)
    return {
        "weights": 4 * total,
        "gradients and AdamW moments": 12 * total,
        "activations of one sequence": 4 * layers * per_position * length,
        "attention map of one layer (textbook only)": 4 * config.heads * length * length,
        "decoder cache of one hypothesis": 4 * config.decoder_layers * cached * length,
    }
