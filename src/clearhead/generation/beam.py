"""Beam search: of all continuations of a sentence's live hypotheses, the best survive (Graves 2012, arXiv 1211.3711).

A candidate that ends leaves the beam and takes its slot with it, so a sentence yields at most K finished hypotheses and
a beam of one is greedy search; in a steady beam the next best takes its place. Knows nothing of
models, length limits or length penalties.

Legend: B sentences, K width of the beam, C live hypotheses a sentence (C <= K), V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from clearhead.generation.live import Extension, Live
from clearhead.generation.search import Propose
from clearhead.generation.selection import best_continuations, log_probabilities


def beam_of(width: int) -> Propose:
    """A proposal of the best ``width`` continuations over all hypotheses of a sentence; fewer while there are fewer."""

    def propose_beam(logits: Tensor, normalizer: Tensor, live: Live) -> Extension:
        parents, tokens, scores = best_continuations(logits, live.totals - normalizer, width)
        logs = log_probabilities(logits, normalizer, parents, tokens)
        rank = torch.arange(parents.shape[1], device=parents.device)
        none = (rank >= live.slots[:, None]) | (scores == -torch.inf)
        totals = (live.totals.gather(1, parents) + logs).masked_fill_(none, -torch.inf)
        return Extension(parents, tokens, logs, totals)

    return propose_beam


def steady_beam_of(width: int, ends: Sequence[int]) -> Propose:
    """The best ``width`` continuations that do not end, whatever ends; then those that end among the best ``width``.

    The rule of the library transformers; twice ``width`` continuations are looked at.
    """

    def propose_steadily(logits: Tensor, normalizer: Tensor, live: Live) -> Extension:
        parents, tokens, scores = best_continuations(logits, live.totals - normalizer, (1 + max(1, len(ends))) * width)
        logs = log_probabilities(logits, normalizer, parents, tokens)
        totals = (live.totals.gather(1, parents) + logs).masked_fill_(scores == -torch.inf, -torch.inf)
        ended = Extension(parents, tokens, logs, totals).ended(ends)
        going = totals.masked_fill(ended, -torch.inf)
        places = going.topk(min(width, going.shape[1]), dim=1).indices
        first = torch.arange(places.shape[1], device=places.device).expand_as(places)
        index = torch.cat([places, first], dim=1)
        ending = totals.masked_fill(~ended, -torch.inf).gather(1, first)
        kept = torch.cat([going.gather(1, places), ending], dim=1)
        return Extension(parents.gather(1, index), tokens.gather(1, index), logs.gather(1, index), kept)

    return propose_steadily
