"""The hypotheses still alive for each sentence: their tokens so far, what each token cost, and how they are extended.

Plain bookkeeping in rectangular tensors, so that one step costs the same few operations for any batch and beam. A
search begins with one empty hypothesis a sentence and widens as it finds more. Knows nothing of models, of scores with
length penalty, or of how an extension is chosen.

Legend: B sentences, C live hypotheses a sentence, R sentences looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.symbols import HOUSE, Symbols


@dataclass(frozen=True)
class Extension:
    """What a search proposes for one step: some candidates a sentence, all fields (B, candidates)."""

    parents: Tensor  # int64, the live hypothesis that is continued
    tokens: Tensor  # int64, by which token
    logs: Tensor  # float32, log-probability of that token
    totals: Tensor  # float32, log-probability of the whole candidate; -inf where there is none

    def first(self, count: int) -> Extension:
        """The first ``count`` candidates of each sentence."""
        if self.tokens.shape[1] <= count:
            return self
        kept = (field[:, :count] for field in (self.parents, self.tokens, self.logs, self.totals))
        return Extension(*kept)

    def ended(self, ends: Sequence[int]) -> Tensor:
        """Which candidates end here, by one of ``ends``, and leave the search."""
        found = self.tokens == ends[0] if ends else torch.zeros_like(self.tokens, dtype=torch.bool)
        for end in ends[1:]:
            found = found | (self.tokens == end)
        return found & (self.totals > -torch.inf)


class Live:
    """B x C hypotheses of equal length. A dead one has total -inf and can never come back.

    ``slots`` (B,) says how many a sentence may have, at most the search's ``width``: an ended one takes its slot along.
    """

    def __init__(self, limits: Tensor, width: int, first: Tensor | None = None, *, symbols: Symbols = HOUSE) -> None:
        """``limits`` (B,): the most tokens of each; ``first`` (B,): what the model is fed first, else the start."""
        sentences, device = limits.shape[0], limits.device
        self.limits = limits
        self.width = width
        self.ends = symbols.ends
        self.first = torch.full_like(limits, symbols.start) if first is None else first
        self.slots = torch.full_like(limits, width)
        self.sentences = torch.arange(sentences, device=device)
        self.totals = torch.zeros(sentences, 1, device=device)
        self.tokens = torch.zeros(sentences, 1, 0, dtype=torch.int64, device=device)
        self.logs = torch.zeros(sentences, 1, 0, device=device)

    @property
    def length(self) -> int:
        """How many tokens each hypothesis has."""
        return self.tokens.shape[2]

    @property
    def last(self) -> Tensor:
        """The token (B, C) each hypothesis ends in, which the model is to be fed next."""
        return self.tokens[:, :, -1] if self.length else self.first[:, None].expand(self.totals.shape)

    def history(self, rows: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens and log-probabilities, each (R, C', length), of ``parents`` (R, C') of the sentences ``rows``."""
        index = parents[:, :, None].expand(-1, -1, self.length)
        return self.tokens[rows].gather(1, index), self.logs[rows].gather(1, index)

    def follow(self, extension: Extension) -> Tensor | None:
        """Become the first ``width`` candidates; returns their parents, or None when each hypothesis continued itself.

        What stands behind them must have come to its end.
        """
        extension = extension.first(self.width)
        parents, ended = extension.parents, extension.ended(self.ends)
        own = torch.arange(parents.shape[1], device=parents.device)
        moved = parents.shape != self.totals.shape or bool((parents != own).any())
        if moved:
            index = parents[:, :, None].expand(-1, -1, self.length)
            self.tokens, self.logs = self.tokens.gather(1, index), self.logs.gather(1, index)
        self.tokens = torch.cat([self.tokens, extension.tokens[:, :, None]], dim=2)
        self.logs = torch.cat([self.logs, extension.logs[:, :, None]], dim=2)
        self.totals = extension.totals.masked_fill(ended, -torch.inf)
        self.slots = self.slots - ended.sum(1)
        return parents if moved else None

    def keep(self, rows: Tensor) -> None:
        """Forget all sentences but ``rows`` (B',)."""
        self.limits, self.first = self.limits[rows], self.first[rows]
        self.sentences, self.slots = self.sentences[rows], self.slots[rows]
        self.totals, self.tokens, self.logs = self.totals[rows], self.tokens[rows], self.logs[rows]
