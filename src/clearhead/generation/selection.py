"""The best continuations of all hypotheses of a sentence, found without normalising or sorting the vocabulary.

Two facts carry it. The normaliser of a row of logits shifts the whole row, so it can be added to K numbers instead of
K x V. And the n largest of many numbers lie in the n blocks with the largest maxima, so one cheap pass for block
maxima leaves a few hundred candidates to sort; the result is exact. Knows nothing of beams, sentence ends or models.

Legend: B sentences, K hypotheses a sentence, V vocabulary, N continuations asked for, C entries of one block.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Continuations(NamedTuple):
    """The N best of a sentence, best first: which hypothesis is continued, with which token; each (B, N) int64."""

    parents: Tensor
    tokens: Tensor


def log_normalizer(logits: Tensor) -> Tensor:
    """log sum exp over the vocabulary: (B, K, V) -> (B, K) float32."""
    highest = logits.amax(-1, keepdim=True)
    exponentials = torch.sub(logits, highest).exp_()
    return exponentials.sum(-1, dtype=torch.float32).log_().add_(highest.squeeze(-1))


def best_continuations(logits: Tensor, offsets: Tensor, count: int) -> Continuations:
    """The ``count`` pairs (k, v) with the largest ``logits[b, k, v] + offsets[b, k]``; fewer if K x V has fewer.

    ``logits`` (B, K, V) contiguous and ``offsets`` (B, K) may hold -inf; NaN must not occur.
    """
    vocabulary = logits.shape[-1]
    entries = max(1, math.isqrt(vocabulary // 2))
    blocks = vocabulary // entries
    places = torch.cat([_in_best_blocks(logits, offsets, count, entries), _behind(logits, blocks * entries)], dim=1)
    parents = places // vocabulary
    scores = logits.flatten(1).gather(1, places) + offsets.gather(1, parents)
    best = scores.topk(min(count, scores.shape[1]), dim=1).indices
    places = places.gather(1, best)
    return Continuations(places // vocabulary, places % vocabulary)


def _in_best_blocks(logits: Tensor, offsets: Tensor, count: int, entries: int) -> Tensor:
    """Places (B, N·C) in the flattened (K·V) of all entries of the ``count`` blocks with the largest maxima.

    A block is C entries a stride apart, not neighbours: so the maxima of neighbouring blocks are one vector operation.
    """
    vocabulary = logits.shape[-1]
    blocks = vocabulary // entries
    maxima = logits[..., : blocks * entries].view(*logits.shape[:2], entries, blocks).amax(-2)
    maxima = (maxima + offsets[..., None]).flatten(1)
    best = maxima.topk(min(count, maxima.shape[1]), dim=1, sorted=False).indices
    first: Tensor = best // blocks * vocabulary + best % blocks
    strides = torch.arange(0, blocks * entries, blocks, device=logits.device)
    return (first[:, :, None] + strides).flatten(1)


def _behind(logits: Tensor, start: int) -> Tensor:
    """Places (B, K·R) of the R entries of each row that fill no whole block."""
    sentences, hypotheses, vocabulary = logits.shape
    rest = torch.arange(start, vocabulary, device=logits.device)
    rows = torch.arange(0, hypotheses * vocabulary, vocabulary, device=logits.device)
    places = (rows[:, None] + rest).flatten()
    return places.expand(sentences, -1)
