"""Transformers for sequence work, with every attention head open to the eye.

This is the public face. Each name is imported when it is first used, so that ``import clearhead`` is quick and quiet.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clearhead.errors import (
        ClearheadError,
        ConfigurationError,
        DataError,
        MissingExtraError,
        RunError,
        ShapeError,
    )
    from clearhead.inspection.ablate import head_means, without_heads
    from clearhead.inspection.capture import inspecting
    from clearhead.inspection.inspection import Inspection
    from clearhead.mechanism import biases, masks, normalizers, scores, textbook
    from clearhead.mechanism.attention import attention, attention_scores, attention_summary, attention_weights
    from clearhead.mechanism.summary import AttentionSummary
    from clearhead.recipes.read import read_recipe
    from clearhead.recipes.schema import Recipe
    from clearhead.service.head_importance import head_importance
    from clearhead.service.import_pretrained import import_pretrained
    from clearhead.service.load import load
    from clearhead.service.prune import prune_heads
    from clearhead.service.train import train

__version__ = "0.1.0"

__all__ = [
    "AttentionSummary",
    "ClearheadError",
    "ConfigurationError",
    "DataError",
    "Inspection",
    "MissingExtraError",
    "Recipe",
    "RunError",
    "ShapeError",
    "__version__",
    "attention",
    "attention_scores",
    "attention_summary",
    "attention_weights",
    "biases",
    "head_importance",
    "head_means",
    "import_pretrained",
    "inspecting",
    "load",
    "masks",
    "normalizers",
    "prune_heads",
    "read_recipe",
    "scores",
    "textbook",
    "train",
    "without_heads",
]

_HOMES = {
    "AttentionSummary": "clearhead.mechanism.summary",
    "ClearheadError": "clearhead.errors",
    "ConfigurationError": "clearhead.errors",
    "DataError": "clearhead.errors",
    "MissingExtraError": "clearhead.errors",
    "RunError": "clearhead.errors",
    "ShapeError": "clearhead.errors",
    "Inspection": "clearhead.inspection.inspection",
    "inspecting": "clearhead.inspection.capture",
    "Recipe": "clearhead.recipes.schema",
    "read_recipe": "clearhead.recipes.read",
    "attention": "clearhead.mechanism.attention",
    "attention_scores": "clearhead.mechanism.attention",
    "attention_summary": "clearhead.mechanism.attention",
    "attention_weights": "clearhead.mechanism.attention",
    "head_importance": "clearhead.service.head_importance",
    "head_means": "clearhead.inspection.ablate",
    "import_pretrained": "clearhead.service.import_pretrained",
    "load": "clearhead.service.load",
    "prune_heads": "clearhead.service.prune",
    "train": "clearhead.service.train",
    "without_heads": "clearhead.inspection.ablate",
}
_MODULES = {
    "biases": "clearhead.mechanism.biases",
    "masks": "clearhead.mechanism.masks",
    "normalizers": "clearhead.mechanism.normalizers",
    "scores": "clearhead.mechanism.scores",
    "textbook": "clearhead.mechanism.textbook",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = importlib.import_module(_MODULES[name])
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module 'clearhead' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
