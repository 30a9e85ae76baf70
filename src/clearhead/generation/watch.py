"""Whoever watches a search from outside: sees every step of it, and may give up inputs that nobody waits for any more.

A watch is attached around the call that searches, however deep that lies: ``with watching(watch): model.predict(…)``.
Watching changes no answer; an input that is given up costs nothing from the next step on and answers with whatever
hypotheses had ended by then. Without a watch nothing is computed. Knows nothing of why anybody watches.

Legend: B sentences still in work, C hypotheses of each.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from clearhead.generation.live import Extension, Live
from clearhead.generation.search import Propose


@dataclass(frozen=True, eq=False)
class Step:
    """What a search just decided for some inputs: row b of ``live`` and ``extension`` belongs to ``numbers[b]``.

    ``competing``: hypotheses of an input drive each other out, as in a beam; otherwise each goes its own way.
    """

    numbers: tuple[int, ...]
    live: Live
    extension: Extension
    competing: bool

    @property
    def length(self) -> int:
        """How many tokens each hypothesis has with this step's."""
        return self.live.length + 1

    def alive(self) -> list[bool]:
        """Which rows got a token in this step; the others are done and wait to be put away."""
        alive: list[bool] = (self.extension.totals > -torch.inf).any(1).tolist()
        return alive

    def newest(self, row: int) -> list[int | None]:
        """The token each hypothesis of the row got in this step, the end symbol too; None where it was over before."""
        totals, tokens = self.extension.totals[row].tolist(), self.extension.tokens[row].tolist()
        return [None if total == -math.inf else token for total, token in zip(totals, tokens, strict=True)]

    def likeliest(self, row: int) -> list[int]:
        """The tokens so far of the row's likeliest hypothesis, this step's included."""
        best = int(self.extension.totals[row].argmax())
        before = self.live.tokens[row, int(self.extension.parents[row, best])].tolist()
        return [*before, int(self.extension.tokens[row, best])]


class Watch(Protocol):
    """Called after every step; batches that are in work side by side call it from their own threads."""

    def __call__(self, step: Step) -> Collection[int]:
        """The numbers of the inputs to give up, none as a rule."""


_WATCH: ContextVar[Watch | None] = ContextVar("watch", default=None)


@contextmanager
def watching(watch: Watch) -> Iterator[None]:
    """Every search that this thread begins inside is watched."""
    token = _WATCH.set(watch)
    try:
        yield
    finally:
        _WATCH.reset(token)


def current_watch() -> Watch | None:
    """Who watches what this thread begins now."""
    return _WATCH.get()


def watched(propose: Propose, numbers: Sequence[int], watch: Watch | None, *, competing: bool) -> Propose:
    """``propose`` for the inputs ``numbers``, of which ``watch`` is told; the same function when nobody watches."""
    if watch is None:
        return propose

    def propose_watched(logits: Tensor, normalizer: Tensor, live: Live) -> Extension:
        extension = propose(logits, normalizer, live)
        rows = tuple(numbers[sentence] for sentence in live.sentences.tolist())
        unwanted = watch(Step(rows, live, extension, competing))
        if not unwanted:
            return extension
        gone = torch.tensor([number in unwanted for number in rows], device=logits.device)
        return replace(extension, totals=extension.totals.masked_fill(gone[:, None], -torch.inf))

    return propose_watched
