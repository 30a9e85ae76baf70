"""Searches without competition: each hypothesis goes its own way, by its best token (greedy) or by a drawn one.

A drawn token depends on the seed, the place of its sentence among all sources, the number of the sample and the step,
and on nothing else: batching, sorting and company never change a sample. Knows nothing of models or length limits.

Legend: B sentences, K samples of each, C live hypotheses (1 at the start, then K), V vocabulary, L longest limit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from clearhead.generation.filters import filtered
from clearhead.generation.live import Extension, Live
from clearhead.generation.search import Propose
from clearhead.generation.selection import best_continuations, log_probabilities
from clearhead.generation.settings import SearchSettings


def propose_greedy(logits: Tensor, normalizer: Tensor, live: Live) -> Extension:
    """The most probable token of the one hypothesis of each sentence; logits (B, 1, V), normaliser (B, 1)."""
    return own_way(best_continuations(logits, torch.zeros_like(normalizer), 1).tokens, logits, normalizer, live)


def sampler(settings: SearchSettings, seed: int, places: Sequence[int], limits: Tensor) -> Propose:
    """A proposal that draws tokens; ``places`` are the numbers of the batch's sentences among all sources."""
    uniforms = draw_uniforms(seed, places, limits, settings.width).to(limits.device)

    def propose_sample(logits: Tensor, normalizer: Tensor, live: Live) -> Extension:
        tokens = draw(filtered(logits, settings), uniforms[live.sentences, :, live.length])
        return own_way(tokens, logits, normalizer, live)

    return propose_sample


def draw_uniforms(seed: int, places: Sequence[int], limits: Tensor, samples: int) -> Tensor:
    """Numbers in [0, 1), (B, K, L) float32: sample k of a sentence is the same whatever its batch, limit and K are."""
    uniforms = torch.zeros(len(places), samples, int(limits.max()))
    for row, (place, limit) in enumerate(zip(places, limits.tolist(), strict=True)):
        for sample in range(samples):
            numbers = np.random.default_rng((seed, place, sample)).random(limit, dtype=np.float32)
            uniforms[row, sample, :limit] = torch.from_numpy(numbers)
    return uniforms


def draw(logits: Tensor, uniforms: Tensor) -> Tensor:
    """Tokens (B, K) from softmax(logits) (B, C, V), K / C of each, by inverting its cumulative sum at ``uniforms``."""
    cumulative = logits.softmax(-1, dtype=torch.float32).cumsum(-1)
    mass = cumulative[..., -1:]
    aims = torch.minimum(uniforms.view(*logits.shape[:2], -1) * mass, mass.nextafter(torch.zeros_like(mass)))
    return torch.searchsorted(cumulative, aims, right=True).flatten(1)


def own_way(tokens: Tensor, logits: Tensor, normalizer: Tensor, live: Live) -> Extension:
    """Each of C hypotheses goes on with its share of ``tokens`` (B, K): one, or K at the start, where C is 1."""
    (sentences, chosen), hypotheses = tokens.shape, logits.shape[1]
    own = torch.arange(hypotheses, device=tokens.device).repeat_interleave(chosen // hypotheses)
    parents = own.expand(sentences, chosen)
    logs = log_probabilities(logits, normalizer, parents, tokens)
    return Extension(parents, tokens, logs, live.totals.gather(1, parents) + logs)
