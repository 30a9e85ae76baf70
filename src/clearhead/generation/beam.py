"""Beam search: of all continuations of a sentence's K live hypotheses, the best survive (Graves 2012, arXiv 1211.3711).

A candidate that ends leaves the beam and takes its slot with it, so a sentence yields at most K finished hypotheses and
a beam of one is greedy search. Knows nothing of models, length limits or length penalties.

Legend: B sentences, K hypotheses a sentence, V vocabulary.
"""

from __future__ import annotations

import torch
from torch import Tensor

from clearhead.generation.live import Extension, Live
from clearhead.generation.selection import best_continuations


def propose_beam(logits: Tensor, normalizer: Tensor, live: Live) -> Extension:
    """The best continuations over all hypotheses: logits (B, K, V) and their normaliser (B, K) -> an extension."""
    width, vocabulary = logits.shape[1:]
    before = totals_of(live)
    parents, tokens, scores = best_continuations(logits, before - normalizer, width)
    logs = logits.flatten(1).gather(1, parents * vocabulary + tokens) - normalizer.gather(1, parents)
    totals = before.gather(1, parents) + logs
    beyond = torch.arange(width, device=totals.device) >= live.slots[:, None]
    return Extension(parents, tokens, logs, totals.masked_fill_(beyond | (scores == -torch.inf), -torch.inf))


def totals_of(live: Live) -> Tensor:
    """Log-probabilities (B, K) of the live hypotheses; at the start all are equal, so only the first may count."""
    if live.length:
        return live.totals
    totals = torch.full_like(live.totals, -torch.inf)
    totals[:, 0] = live.totals[:, 0]
    return totals
