"""Texts gone on with: prompts in, continuations out in the same order, by a model that reads and writes one sequence.

A prompt is read in one pass, all but its last token, which is the first that is fed. Prompts of one batch have equal
lengths, so that nothing needs padding or masks; they are brought together by sorting. Results do not depend on the
batching. Knows nothing of text.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from itertools import groupby

import torch

from clearhead.errors import ConfigurationError
from clearhead.generation.batches import proposal
from clearhead.generation.hypothesis import Hypothesis
from clearhead.generation.protocol import AnyState, Decodable
from clearhead.generation.search import Sources, search
from clearhead.generation.settings import ContinuationSettings
from clearhead.generation.watch import current_watch, watched
from clearhead.generation.window import Windowed
from clearhead.symbols import HOUSE, Symbols
from clearhead.workers import side_by_side, useful_workers


def continue_prompts(
    model: Decodable[AnyState],
    prompts: Sequence[Sequence[int]],
    settings: ContinuationSettings,
    *,
    context: int,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    symbols: Symbols = HOUSE,
) -> list[list[Hypothesis]]:
    """The ``settings.n_best`` continuations of each prompt, best first (samples in no order of merit).

    ``prompts`` are token ids, each with at least one: the start symbol where a text is to begin. The model looks back
    at ``context`` tokens at most: of a longer prompt it reads the last ones, and where the text outgrows the context
    it goes on from the last half (see ``generation.window``). The model is on ``device`` and in evaluation mode.

    Raises:
        ConfigurationError: a prompt is empty.
    """
    if not all(prompts):
        raise ConfigurationError("a prompt needs at least one token: the start symbol where a text is to begin")
    seed = settings.seed if settings.seed is not None else secrets.randbits(32)
    workers = workers or useful_workers(device)
    read = [prompt[-context:] for prompt in prompts]
    places = list(prompt_batches([len(prompt) for prompt in read], settings))
    windowed, watch = Windowed(model, context), current_watch()

    def answers_of(batch: list[int]) -> list[list[Hypothesis]]:
        ids = torch.tensor([read[place] for place in batch], dtype=torch.int64, device=device)
        limits = torch.full((len(batch),), settings.max_length, device=device)
        sources = Sources(ids[:, :-1], torch.ones_like(ids[:, :-1], dtype=torch.bool), limits, ids[:, -1], symbols)
        propose = proposal(settings, seed, batch, sources)
        return search(windowed, sources, settings, watched(propose, batch, watch, competing=settings.competing))

    results: list[list[Hypothesis]] = [[] for _ in prompts]
    for batch, answers in zip(places, side_by_side(answers_of, places, workers), strict=True):
        for place, answer in zip(batch, answers, strict=True):
            results[place] = answer
    return results


def prompt_batches(lengths: Sequence[int], settings: ContinuationSettings) -> Iterator[list[int]]:
    """Places of the prompts of each batch, all of one length, the longest first."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    for length, alike in groupby(order, key=lambda place: lengths[place]):
        places = list(alike)
        rows = max(1, settings.batch_tokens // ((length + settings.max_length) * settings.width))
        yield from (places[start : start + rows] for start in range(0, len(places), rows))
