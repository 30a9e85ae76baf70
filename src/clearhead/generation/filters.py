"""The three knobs of sampling as pure functions: temperature, top-k (arXiv 1805.04833), top-p (arXiv 1904.09751).

Removed tokens become -inf. Knows nothing of sentences, hypotheses or random numbers.

Legend: ... any leading dimensions, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.generation.settings import SearchSettings


def with_temperature(logits: Tensor, temperature: float) -> Tensor:
    """Logits (..., V) over the temperature, shifted so that the largest is 0 and no temperature can overflow."""
    return (logits - logits.amax(-1, keepdim=True)) / temperature


def keep_top_k(logits: Tensor, count: int) -> Tensor:
    """Only the ``count`` largest of each row (..., V); exactly that many even among equals."""
    values, tokens = logits.topk(min(count, logits.shape[-1]), dim=-1)
    return torch.full_like(logits, -torch.inf).scatter_(-1, tokens, values)


def keep_top_p(logits: Tensor, mass: float) -> Tensor:
    """Only the smallest set of most probable tokens of each row (..., V) that together have at least ``mass``."""
    values, tokens = logits.sort(dim=-1, descending=True)
    probabilities = values.softmax(-1, dtype=torch.float32)
    before = probabilities.cumsum(-1) - probabilities
    values = values.masked_fill(before >= mass, -torch.inf)
    return torch.empty_like(logits).scatter_(-1, tokens, values)


def filtered(logits: Tensor, settings: SearchSettings) -> Tensor:
    """Temperature, then top-k, then top-p, as far as ``settings`` ask for them."""
    logits = with_temperature(logits, settings.temperature)
    if settings.top_k:
        logits = keep_top_k(logits, settings.top_k)
    if settings.top_p < 1.0:
        logits = keep_top_p(logits, settings.top_p)
    return logits
