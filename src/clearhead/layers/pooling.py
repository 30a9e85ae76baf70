"""From a vector a position to fewer: one a sequence (N → 1), or one a word where words are cut into pieces.

mean, first: as they say. first_tanh: tanh(W first + b), as on top of BERT (arXiv 1810.04805). attention: each position
is scored by u · tanh(W h + b) with a learned u, and the softmax of the scores weighs them (Yang et al. 2016,
"Hierarchical attention networks", equations 5–7). Padding counts for nothing; where there is nothing real, the result
is 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from clearhead.errors import ShapeError


class MeanPooling(nn.Module):
    """The mean of all real positions: (B, T, W), real (B, T) bool or None for all → (B, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, states: Tensor, real: Tensor | None = None) -> Tensor:
        if real is None:
            return states.mean(1)
        total = states.masked_fill(~real[..., None], 0.0).sum(1)
        return total / real.sum(1, keepdim=True).clamp(min=1)


class FirstPooling(nn.Module):
    """The first real position: (B, T, W), real (B, T) bool or None for all → (B, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, states: Tensor, real: Tensor | None = None) -> Tensor:
        if real is None:
            return states[:, 0]
        first = real.int().argmax(1)  # 0 where nothing is real
        taken = states[torch.arange(len(states), device=states.device), first]
        return taken.masked_fill(~real.any(1)[:, None], 0.0)


class FirstTanhPooling(nn.Module):
    """The first real position through one linear map and tanh: (B, T, W), real (B, T) bool or None → (B, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = FirstPooling(width)
        self.dense = nn.Linear(width, width)

    def forward(self, states: Tensor, real: Tensor | None = None) -> Tensor:
        pooled = torch.tanh(self.dense(self.first(states, real)))
        return pooled if real is None else pooled.masked_fill(~real.any(1)[:, None], 0.0)


class AttentionPooling(nn.Module):
    """A learned query looks at all real positions: (B, T, W), real (B, T) bool or None for all → (B, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.key = nn.Linear(width, width)
        self.query = nn.Linear(width, 1, bias=False)

    def weights(self, states: Tensor, real: Tensor | None = None) -> Tensor:
        """How much of each position: (B, T), summing to 1, or 0 where nothing is real."""
        scores = self.query(torch.tanh(self.key(states)))[..., 0].float()
        if real is None:
            return torch.softmax(scores, -1)
        blind = ~real.any(1, keepdim=True)
        scores = scores.masked_fill(~real, -math.inf).masked_fill(blind, 0.0)
        return torch.softmax(scores, -1).masked_fill(blind, 0.0)

    def forward(self, states: Tensor, real: Tensor | None = None) -> Tensor:
        weights = self.weights(states, real).to(states.dtype)
        states = states if real is None else states.masked_fill(~real[..., None], 0.0)
        return torch.einsum("bt,btw->bw", weights, states)


POOLING: dict[str, type[nn.Module]] = {
    "mean": MeanPooling,
    "first": FirstPooling,
    "first_tanh": FirstTanhPooling,
    "attention": AttentionPooling,
}


def first_pieces(states: Tensor, words: Tensor) -> Tensor:
    """The state of each word's first piece: (B, T, W), words (B, T) int64 → (B, words, W)."""
    words = _checked(states, words)
    count, places = _count(words), torch.arange(words.shape[1], device=words.device).expand_as(words)
    last = words.shape[1]
    first = places.new_full((len(words), count + 1), last)
    first.scatter_reduce_(1, words.where(words >= 0, count), places, "amin")
    first = first[:, :count]
    index = first.clamp(max=last - 1)[..., None].expand(-1, -1, states.shape[2])
    return states.gather(1, index).masked_fill((first == last)[..., None], 0.0)


def mean_pieces(states: Tensor, words: Tensor) -> Tensor:
    """The mean of each word's pieces: (B, T, W), words (B, T) int64 → (B, words, W)."""
    words = _checked(states, words)
    belongs = words[:, None, :] == torch.arange(_count(words), device=words.device)[None, :, None]
    shares = belongs.to(states.dtype) / belongs.sum(-1, keepdim=True).clamp(min=1)
    return shares @ states.masked_fill((words < 0)[..., None], 0.0)


WORD_POOLING = {"first": first_pieces, "mean": mean_pieces}


def _checked(states: Tensor, words: Tensor) -> Tensor:
    if words.shape != states.shape[:2] or words.dtype != torch.int64:
        raise ShapeError(
            f"words must be int64 of shape {tuple(states.shape[:2])}, the number of each piece's word or -1, "
            f"got {words.dtype} {tuple(words.shape)}"
        )
    return words


def _count(words: Tensor) -> int:
    return int(words.max()) + 1 if words.numel() else 0
