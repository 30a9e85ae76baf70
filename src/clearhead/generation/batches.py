"""The door of this room: any number of sources in, their hypotheses out in the same order.

Sources are sorted by length and cut into batches of bounded size, searched, and put back into their order. Results do
not depend on the batching. Knows nothing of text.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

import torch

from clearhead.generation.beam import beam_of, steady_beam_of
from clearhead.generation.chains import propose_greedy, sampler
from clearhead.generation.hypothesis import Hypothesis
from clearhead.generation.protocol import AnyState, Decodable
from clearhead.generation.search import Propose, Sources, search
from clearhead.generation.settings import DecodingSettings, SearchSettings
from clearhead.generation.watch import current_watch, watched
from clearhead.symbols import HOUSE, Symbols
from clearhead.workers import side_by_side, useful_workers

SHORTEST = 8  # sources count as at least this long: a row's logits cost memory however short its source is


def generate(
    model: Decodable[AnyState],
    sources: Sequence[Sequence[int]],
    settings: DecodingSettings,
    *,
    device: torch.device | str = "cpu",
    workers: int | None = None,
    numbers: Sequence[int] | None = None,
    symbols: Symbols = HOUSE,
) -> list[list[Hypothesis]]:
    """The ``settings.n_best`` best hypotheses of each source, best first; answers stand in the order of the sources.

    An answer is shorter only where the search space holds fewer hypotheses than that.

    ``sources`` are token ids without specials: what ``symbols`` put around a text is put there here.
    ``device`` is where the model lives; it must be in evaluation mode. ``workers`` batches are in work at a time, each
    on one core; None is as many as torch may use threads, or one off the CPU. ``numbers`` are what the sources are
    called, by whoever watches and by the draws of a sample; their places, when not given.
    """
    seed = settings.seed if settings.seed is not None else secrets.randbits(32)
    workers = workers or useful_workers(device)
    places = list(batches([len(source) for source in sources], settings, workers))
    names, watch = numbers or range(len(sources)), current_watch()

    def answers_of(batch: list[int]) -> list[list[Hypothesis]]:
        rows = rectangle([sources[place] for place in batch], settings, device, symbols)
        called = [names[place] for place in batch]
        propose = proposal(settings, seed, called, rows)
        return search(model, rows, settings, watched(propose, called, watch, competing=settings.competing))

    results: list[list[Hypothesis]] = [[] for _ in sources]
    for batch, answers in zip(places, side_by_side(answers_of, places, workers), strict=True):
        for place, answer in zip(batch, answers, strict=True):
            results[place] = answer
    return results


def batches(lengths: Sequence[int], settings: DecodingSettings, workers: int = 1) -> Iterator[list[int]]:
    """Places of the sources of each batch, longest first: what does not fit in memory shows at once.

    Each worker gets a batch where there are as many sources.
    """
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    share = -(-len(order) // workers)
    start = 0
    while start < len(order):
        longest = max(lengths[order[start]] + 1, SHORTEST)
        rows = max(1, min(settings.batch_tokens // (longest * settings.width), share))
        yield order[start : start + rows]
        start += rows


def rectangle(
    sources: Sequence[Sequence[int]],
    settings: DecodingSettings,
    device: torch.device | str,
    symbols: Symbols = HOUSE,
) -> Sources:
    """Sources with what surrounds them and padding as tensors (B, S), with the length limit of each."""
    whole = [symbols.surrounded(source) for source in sources]
    longest = max(1, *(len(row) for row in whole))
    rows = [row + [symbols.pad] * (longest - len(row)) for row in whole]
    lengths = torch.tensor([len(row) for row in whole], device=device)
    return Sources(
        ids=torch.tensor(rows, dtype=torch.int64, device=device),
        mask=torch.arange(longest, device=device) < lengths[:, None],
        limits=torch.tensor([settings.limit(len(source)) for source in sources], device=device),
        symbols=symbols,
    )


def proposal(settings: SearchSettings, seed: int, numbers: Sequence[int], batch: Sources) -> Propose:
    """How the settings want candidates chosen; ``numbers`` are the rows' own, which their samples depend on."""
    if settings.sample:
        return sampler(settings, seed, numbers, batch.limits)
    if settings.beam == 1:
        return propose_greedy
    if settings.steady:
        return steady_beam_of(settings.beam, batch.symbols.ends)
    return beam_of(settings.beam)
