"""The one loop behind greedy, beam search and sampling: advance all hypotheses, propose, finish, follow, compact.

How candidates are proposed is passed in; the loop owns what every search shares: forbidden symbols, length limits,
the end of a sentence, and dropping finished sentences from the batch so that they cost nothing. Knows no model beyond
``generation.protocol``, and of special symbols the numbers that come with the sources.

A sentence ends when nothing of it is alive; when not even its best live hypothesis, were it to reach the length limit
without further loss, could still get a place; or at its length limit, where what is alive is ranked as unfinished.
(A steady beam asks what its best live hypothesis has now.)

Legend: B sentences, C live hypotheses a sentence, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.errors import RunError
from clearhead.generation.finished import Finished, Newcomers
from clearhead.generation.hypothesis import Hypothesis
from clearhead.generation.live import Extension, Live
from clearhead.generation.protocol import AnyState, Decodable
from clearhead.generation.repeats import forbid_repeats
from clearhead.generation.selection import log_normalizer
from clearhead.generation.settings import BeamRule, SearchSettings
from clearhead.symbols import HOUSE, Symbols

Propose = Callable[[Tensor, Tensor, Live], Extension]
"""(logits (B, C, V) with forbidden symbols at -inf, log-normaliser (B, C) of all V, live hypotheses) -> extension."""


@dataclass(frozen=True)
class Sources:
    """Some inputs as one rectangle: ``ids`` and ``mask`` (B, S), the most tokens of each output, ``limits`` (B,).

    ``first`` (B,) is the token that is fed first: the last of a prompt, or the start symbol where it is not given.
    """

    ids: Tensor
    mask: Tensor
    limits: Tensor
    first: Tensor | None = None
    symbols: Symbols = HOUSE

    @property
    def begun(self) -> Tensor:
        """(B, P) what stands before the first token that is written: the prompt, or the start symbol."""
        if self.first is None:
            return torch.full_like(self.ids[:, :1], self.symbols.start)
        return torch.cat([self.ids, self.first[:, None]], dim=1)


@torch.inference_mode()
def search(
    model: Decodable[AnyState], sources: Sources, settings: SearchSettings, propose: Propose
) -> list[list[Hypothesis]]:
    """The best hypotheses of each sentence, best first, sentences in their order."""
    results: list[list[Hypothesis]] = [[]] * sources.ids.shape[0]
    symbols = sources.symbols
    live = Live(sources.limits, settings.width, sources.first, symbols=symbols)
    places = settings.beam if settings.steady else settings.n_best
    finished = Finished(sources.limits, places, settings.length_penalty, plain=settings.steady)
    state = model.begin(sources.ids, sources.mask, beam=1, max_length=int(sources.limits.max()))
    while True:
        logits = model.advance(live.last, state)
        normalizer = checked(log_normalizer(logits))
        if live.length < len(symbols.forced):
            logits, normalizer = only(logits, symbols.forced[live.length]), torch.zeros_like(normalizer)
        else:
            logits = forbid(logits, symbols, end=live.length < settings.min_length)
            logits, normalizer = within(logits, normalizer, live, sources, settings)
        extension = propose(logits, normalizer, live)
        parents = step(extension, live, finished)
        done = close(live, finished, settings.beam_rule if settings.steady else "patient")
        repack = enough(done)
        if repack:
            collect(results, done, live, finished, settings.n_best)
            if bool(done.all()):
                return results
        if parents is not None:
            state.reorder(parents)
        if repack:
            going = (~done).nonzero().squeeze(1)
            for part in (state, live, finished):
                part.keep(going)


def checked(normalizer: Tensor) -> Tensor:
    """The log-normaliser itself, if it is a number; one that is not would keep a search from ever ending."""
    if bool(normalizer.isnan().any()):
        raise RunError(
            "the model's logits are not numbers (NaN), expected finite ones: the weights are damaged, or training "
            "diverged before they were saved"
        )
    return normalizer


def forbid(logits: Tensor, symbols: Symbols, *, end: bool) -> Tensor:
    """``logits`` (B, C, V), changed in place: nothing that is never written and, if ``end``, no end symbol."""
    for symbol in (*symbols.never, *symbols.ends) if end else symbols.never:
        logits[..., symbol] = -torch.inf
    return logits


def within(
    logits: Tensor, normalizer: Tensor, live: Live, sources: Sources, settings: SearchSettings
) -> tuple[Tensor, Tensor]:
    """``logits`` (B, C, V), changed in place, and their normaliser (B, C): no n-gram twice, an end at the limit."""
    if size := settings.no_repeat_ngram:
        before = sources.begun[live.sentences, None].expand(-1, live.tokens.shape[1], -1)
        forbid_repeats(logits, torch.cat([before, live.tokens], dim=2), size)
    if settings.end_at_limit and live.ends and bool((last := live.limits == live.length + 1).any()):
        logits[last] = only(logits[last], live.ends[0])
        normalizer = normalizer.masked_fill(last[:, None], 0.0)
    return logits, normalizer


def only(logits: Tensor, symbol: int) -> Tensor:
    """``logits`` (B, C, V), changed in place: ``symbol`` and nothing else, for certain."""
    logits.fill_(-torch.inf)
    logits[..., symbol] = 0.0
    return logits


def step(extension: Extension, live: Live, finished: Finished) -> Tensor | None:
    """Hand over the candidates that ended, follow the others; returns parents if any hypothesis moved."""
    totals = extension.totals.masked_fill(~extension.ended(live.ends), -torch.inf)
    rows = (totals > -torch.inf).any(1).nonzero().squeeze(1)
    if len(rows):
        tokens, logs = live.history(rows, extension.parents[rows])
        tokens = torch.cat([tokens, extension.tokens[rows][:, :, None]], dim=2)
        logs = torch.cat([logs, extension.logs[rows][:, :, None]], dim=2)
        finished.add(Newcomers(rows, totals[rows], tokens, logs, complete=True))
    return live.follow(extension)


def close(live: Live, finished: Finished, rule: BeamRule) -> Tensor:
    """Which sentences (B,) are at their end; those have nothing alive afterwards.

    A live hypothesis is judged by what it could have at the limit; by the rule "steady" by what it has now. By "first"
    a sentence is at its end when all places are taken.
    """
    best = live.totals.amax(1)
    cut = (live.limits <= live.length) & (best > -torch.inf)
    rows = cut.nonzero().squeeze(1)
    if len(rows):
        finished.add(Newcomers(rows, live.totals[rows], live.tokens[rows], live.logs[rows], complete=False))
    reached = torch.full_like(live.limits, live.length) if rule == "steady" else live.limits
    best_possible = best / finished.penalty(reached)
    done = cut | (best_possible <= finished.worst)
    if rule == "first":
        done |= finished.worst > -torch.inf
    live.totals[done] = -torch.inf
    return done


def enough(done: Tensor) -> bool:
    """Whether so many sentences are done that repacking the batch pays: a quarter of them."""
    return int(done.sum()) * 4 >= len(done)


def collect(results: list[list[Hypothesis]], done: Tensor, live: Live, finished: Finished, count: int) -> None:
    """Write the ``count`` best answers of the sentences that are ``done`` to their places in ``results``."""
    rows = done.nonzero().squeeze(1)
    for place, hypotheses in zip(live.sentences[rows].tolist(), finished.hypotheses(rows), strict=True):
        results[place] = hypotheses[:count]
