"""The hypotheses still alive for each sentence: their tokens so far, what each token cost, and how they are extended.

Plain bookkeeping in rectangular tensors, so that one step costs the same few operations for any batch and beam.
Knows nothing of models, of scores with length penalty, or of how an extension is chosen.

Legend: B sentences, K hypotheses a sentence, R sentences looked at, C hypotheses looked at, L longest length limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.generation.protocol import END, START


@dataclass(frozen=True)
class Extension:
    """What a search proposes for one step: K candidates a sentence, all fields (B, K)."""

    parents: Tensor  # int64, the live hypothesis that is continued
    tokens: Tensor  # int64, by which token
    logs: Tensor  # float32, log-probability of that token
    totals: Tensor  # float32, log-probability of the whole candidate; -inf where there is none

    @property
    def ended(self) -> Tensor:
        """Which candidates end here and leave the search."""
        return (self.tokens == END) & (self.totals > -torch.inf)


class Live:
    """B x K hypotheses of equal length. A dead one has total -inf and can never come back.

    ``slots`` (B,) says how many of the K a sentence may still have: an ended hypothesis takes its slot with it.
    """

    def __init__(self, limits: Tensor, width: int) -> None:
        sentences, longest = limits.shape[0], int(limits.max())
        self.limits = limits
        self.length = 0
        self.sentences = torch.arange(sentences, device=limits.device)
        self.slots = torch.full_like(limits, width)
        self.totals = torch.zeros(sentences, width, device=limits.device)
        self.tokens = torch.zeros(sentences, width, longest, dtype=torch.int64, device=limits.device)
        self.logs = torch.zeros(sentences, width, longest, device=limits.device)

    @property
    def last(self) -> Tensor:
        """The token (B, K) each hypothesis ends in, which the model is to be fed next."""
        if self.length == 0:
            return torch.full_like(self.tokens[:, :, 0], START)
        return self.tokens[:, :, self.length - 1]

    def history(self, rows: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens and log-probabilities so far, (R, C, length) each, of ``parents`` (R, C) of the sentences ``rows``."""
        index = parents[:, :, None].expand(-1, -1, self.length)
        past = slice(0, self.length)
        return self.tokens[rows, :, past].gather(1, index), self.logs[rows, :, past].gather(1, index)

    def follow(self, extension: Extension) -> Tensor | None:
        """Become the candidates; returns their parents (B, K), or None when each hypothesis continued itself."""
        parents, ended = extension.parents, extension.ended
        self.totals = extension.totals.masked_fill(ended, -torch.inf)
        self.slots = self.slots - ended.sum(1)
        moved = bool((parents != torch.arange(parents.shape[1], device=parents.device)).any())
        if moved and self.length:
            index = parents[:, :, None].expand(-1, -1, self.length)
            for field in (self.tokens, self.logs):
                field[:, :, : self.length] = field[:, :, : self.length].gather(1, index)
        self.tokens[:, :, self.length] = extension.tokens
        self.logs[:, :, self.length] = extension.logs
        self.length += 1
        return parents if moved else None

    def keep(self, rows: Tensor) -> None:
        """Forget all sentences but ``rows`` (B',)."""
        self.limits, self.sentences, self.slots = self.limits[rows], self.sentences[rows], self.slots[rows]
        self.totals, self.tokens, self.logs = self.totals[rows], self.tokens[rows], self.logs[rows]
