"""The best finished hypotheses of each sentence, ranked by score; what has come to an end waits here for the answer.

Knows the length penalty and nothing of models or of how hypotheses were found.

Legend: B sentences, N places a sentence, R sentences with news, C newcomers of each, L longest length limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from clearhead.generation.hypothesis import Hypothesis, Number, length_penalty, plain_penalty


@dataclass(frozen=True)
class Newcomers:
    """Hypotheses of one common length that came to an end in the same step."""

    rows: Tensor  # (R,) int64, their sentences
    totals: Tensor  # (R, C) log-probability, -inf where a place holds no newcomer
    tokens: Tensor  # (R, C, length) int64
    logs: Tensor  # (R, C, length) log-probability of each token
    complete: bool  # they end in the end symbol


class Ranked(NamedTuple):
    """Fields of N hypotheses a sentence, best first; an empty place has score -inf. The first four are (B, N)."""

    scores: Tensor
    totals: Tensor
    lengths: Tensor
    complete: Tensor
    tokens: Tensor  # (B, N, L)
    logs: Tensor  # (B, N, L)

    def of(self, rows: Tensor) -> Ranked:
        """Only the sentences ``rows``."""
        return Ranked(*(field[rows] for field in self))


class Finished:
    """N places a sentence, best first."""

    def __init__(self, limits: Tensor, places: int, alpha: float, *, plain: bool = False) -> None:
        """``alpha`` of the length penalty, which is ``plain`` or that of equation 14."""
        shape, longest = (limits.shape[0], places), int(limits.max())
        nothing = torch.full(shape, -torch.inf, device=limits.device)
        self.alpha = alpha
        self.plain = plain
        self.ranked = Ranked(
            scores=nothing,
            totals=nothing.clone(),
            lengths=torch.zeros(shape, dtype=torch.int64, device=limits.device),
            complete=torch.zeros(shape, dtype=torch.bool, device=limits.device),
            tokens=torch.zeros(*shape, longest, dtype=torch.int64, device=limits.device),
            logs=torch.zeros(*shape, longest, device=limits.device),
        )

    def penalty(self, length: Number) -> Number:
        """What a log-probability of so many tokens is divided by."""
        return plain_penalty(length, self.alpha) if self.plain else length_penalty(length, self.alpha)

    @property
    def worst(self) -> Tensor:
        """The score (B,) a newcomer must beat to get a place."""
        return self.ranked.scores[:, -1]

    def add(self, new: Newcomers) -> None:
        """Rank the newcomers among those who are there."""
        joined = [torch.cat(both, dim=1) for both in zip(self.ranked.of(new.rows), self._as_ranked(new), strict=True)]
        best = joined[0].topk(self.ranked.scores.shape[1], dim=1).indices
        for field, candidates in zip(self.ranked, joined, strict=True):
            index = best if field.dim() == 2 else best[:, :, None]
            field[new.rows] = candidates.take_along_dim(index, 1)

    def _as_ranked(self, new: Newcomers) -> Ranked:
        length, longest = new.tokens.shape[-1], self.ranked.tokens.shape[-1]
        return Ranked(
            scores=new.totals / self.penalty(length),
            totals=new.totals,
            lengths=torch.full_like(new.totals, length, dtype=torch.int64),
            complete=torch.full_like(new.totals, new.complete, dtype=torch.bool),
            tokens=pad(new.tokens, (0, longest - length)),
            logs=pad(new.logs, (0, longest - length)),
        )

    def keep(self, rows: Tensor) -> None:
        """Forget all sentences but ``rows`` (B',)."""
        self.ranked = self.ranked.of(rows)

    def hypotheses(self, rows: Tensor) -> list[list[Hypothesis]]:
        """The ranked hypotheses of the sentences ``rows`` as plain values; empty places are left out."""
        columns = [field.tolist() for field in self.ranked.of(rows)]
        return [
            [_hypothesis(*entry) for entry in zip(*sentence, strict=True) if entry[0] > -torch.inf]
            for sentence in zip(*columns, strict=True)
        ]


def _hypothesis(
    score: float, total: float, length: int, complete: bool, tokens: list[int], logs: list[float]
) -> Hypothesis:
    return Hypothesis(
        tokens=tuple(tokens[: length - 1 if complete else length]),
        score=score,
        log_probability=total,
        token_log_probabilities=tuple(logs[:length]),
        finished=complete,
    )
