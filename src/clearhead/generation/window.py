"""A model of bounded context that writes without bound: when the context is full, its last half is read anew.

Positions beyond the length of its training rows mean nothing to most models. So the text so far is kept, and every
``context / 2`` tokens the cache is made from the last ``context / 2`` of it, in one pass: each new token sees between
half a context and a whole one, at a cost that stays the same however long the text becomes. Up to the first whole
context nothing differs from the model alone. Knows no attention and no text.

Legend: B sentences, C hypotheses a sentence, N = B * C rows, T tokens so far, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

import torch
from torch import Tensor

from clearhead.errors import ConfigurationError
from clearhead.generation.protocol import AnyState, Decodable


@dataclass(slots=True)
class WindowState(Generic[AnyState]):
    """The model's own state, in which every hypothesis is a sentence of its own, and what it was fed, (N, T)."""

    inner: AnyState
    fed: Tensor
    held: int  # tokens in the model's state, at most its context
    width: int  # C

    def reorder(self, parents: Tensor) -> None:
        """Hypothesis c of sentence b goes on from what was hypothesis ``parents[b, c]``; (B, C′) int64."""
        first = torch.arange(parents.shape[0], device=parents.device)[:, None] * self.width
        self._take((parents + first).flatten())
        self.width = parents.shape[1]

    def keep(self, sentences: Tensor) -> None:
        """Forget all sentences but these, (B′,) int64."""
        rows = torch.arange(self.width, device=sentences.device)
        self._take((sentences[:, None] * self.width + rows).flatten())

    def _take(self, rows: Tensor) -> None:
        self.inner.keep(rows)
        self.fed = self.fed[rows]


class Windowed(Generic[AnyState]):
    """``model``, fed at most ``context`` tokens at a time; its state's ``keep`` must take rows in any order."""

    def __init__(self, model: Decodable[AnyState], context: int) -> None:
        if context < 2:
            raise ConfigurationError(f"a context must have room for 2 tokens, the read and the next; got {context}")
        self.model = model
        self.context = context

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> WindowState[AnyState]:
        """Read ``source`` (B, S), S below the context; C = ``beam`` hypotheses of each."""
        fed = source.repeat_interleave(beam, dim=0)
        return WindowState(self._read(fed), fed, fed.shape[1], beam)

    def advance(self, tokens: Tensor, state: WindowState[AnyState]) -> Tensor:
        """Feed ``tokens`` (B, C); logits (B, C, V) of what comes next."""
        if state.held == self.context:
            state.held = self.context // 2
            state.inner = self._read(state.fed[:, -state.held :])
        rows = tokens.reshape(-1, 1)
        logits = self.model.advance(rows, state.inner)
        state.fed = torch.cat([state.fed, rows], dim=1)
        state.held += 1
        return logits.view(*tokens.shape, -1)

    def _read(self, ids: Tensor) -> AnyState:
        return self.model.begin(ids, torch.ones_like(ids, dtype=torch.bool), beam=1, max_length=self.context)
