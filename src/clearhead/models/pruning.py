"""Models with fewer heads: the weights of pruned ones are gone, and what is left gives what it gave with them silenced.

A block without a head adds Σ_h z_h W_o^h + b_o over the heads that are left, so leaving out a head's rows of W_q, W_k,
W_v and W_o is the same as silencing it (``inspection.ablate``). A configuration says what is left in ``kept_heads``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

from torch import nn

from clearhead.errors import ConfigurationError, nearest
from clearhead.mechanism.left import Left
from clearhead.mechanism.multihead import CrossAttention, SelfAttention
from clearhead.models.config import ModelConfig


def without(model: nn.Module, heads: Mapping[str, Sequence[int]]) -> nn.Module:
    """A copy of ``model`` that lacks ``heads``, by their present numbers; its configuration says so.

    Raises:
        ConfigurationError: there is no such attention or head, or none of an attention would be left.
    """
    config: ModelConfig = model.config  # type: ignore[assignment]
    smaller, kept = copy.deepcopy(model), dict(config.kept_heads or {})
    for name, numbers in heads.items():
        attention = attention_at(smaller, name, config)
        stay = _staying(name, attention.sizes.heads, numbers)
        attention.keep(stay)
        if numbers and attention.left is not None:
            kept[name] = list(attention.left.heads)
    smaller.config = ModelConfig.model_validate(config.model_dump() | {"kept_heads": kept or None})  # type: ignore[assignment]
    return smaller


def keep_heads(model: nn.Module, config: ModelConfig) -> None:
    """Make a whole ``model`` what its configuration says is left of it."""
    for name, heads in (config.kept_heads or {}).items():
        attention_at(model, name, config).keep(heads)


def heads_left(config: ModelConfig, name: str) -> tuple[int, int]:
    """H and G of one attention."""
    kept = (config.kept_heads or {}).get(name)
    if kept is None:
        return config.heads, config.kv_heads
    left = Left.whole(config.heads, config.kv_heads).take(kept)
    return len(left.heads), left.groups


def attention_at(model: nn.Module, name: str, config: ModelConfig) -> SelfAttention | CrossAttention:
    """The attention of this name.

    Raises:
        ConfigurationError: the model has none of that name, or none at all.
    """
    if config.body != "transformer":
        raise ConfigurationError(f'heads are a Transformer\'s, but body is "{config.body}"')
    if name not in config.attentions():
        raise ConfigurationError(f"this model has no attention {name!r}{nearest(name, config.attentions())}")
    stack, layer, kind = name.split(".")
    attention: SelfAttention | CrossAttention = model.get_submodule(f"{stack}.blocks.{layer}.{kind}_attention")  # type: ignore[assignment]
    return attention


def _staying(name: str, count: int, gone: Sequence[int]) -> list[int]:
    for number in gone:
        if number not in range(count):
            raise ConfigurationError(
                f"{name} has {count} heads, so expected a number from 0 to {count - 1}, got {number!r}"
            )
    stay = [head for head in range(count) if head not in gone]
    if not stay:
        raise ConfigurationError(
            f"{name}: all of its {count} heads would be gone, and an attention needs one; silence them instead"
        )
    return stay
