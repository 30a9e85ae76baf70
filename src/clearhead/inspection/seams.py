"""Where every attention of a model can be looked at and acted on from outside: its name, its inner step, its sizes.

A model's attentions each call one inner step with q, k, v, a mask and a bias (``mechanism.multihead.AttentionStep``);
whoever looks or silences hooks that step. Knows no architecture: an attention is wherever a step is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from clearhead.mechanism.multihead import AttentionStep, HeadSizes

_PLACE = re.compile(r"(\w+)\.(?:blocks\.(\d+)\.)?(\w+)_attention\.step")


class Attention(Protocol):
    """What every attention says of itself."""

    sizes: HeadSizes
    step: AttentionStep
    output: nn.Linear


@dataclass(frozen=True, slots=True, eq=False)
class Seam:
    """One attention: ``name`` (``decoder.3.cross``), the step to hook, the output matrix behind it, its head count."""

    name: str
    step: AttentionStep
    output: nn.Linear
    heads: int


def seams(model: nn.Module) -> dict[str, Seam]:
    """Every attention of ``model`` by name, in the order in which they stand."""
    return {seam.name: seam for seam in _found(model)}


def attention_name(path: str) -> str:
    """``decoder.3.cross`` for the step at ``decoder.blocks.3.cross_attention.step``; else the path of its parent."""
    found = _PLACE.fullmatch(path)
    return ".".join(found.groups(default="0")) if found else path.removesuffix(".step")


def _found(model: nn.Module) -> Iterator[Seam]:
    for path, module in model.named_modules():
        if isinstance(module, AttentionStep):
            attention: Attention = model.get_submodule(path.rpartition(".")[0])  # type: ignore[assignment]
            yield Seam(attention_name(path), module, attention.output, attention.sizes.heads)
