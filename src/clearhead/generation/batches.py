"""The door of this room: any number of sources in, their hypotheses out in the same order.

Sources are sorted by length and cut into batches of bounded size, searched, and put back into their order. Results do
not depend on the batching. Knows nothing of text.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence

import torch

from clearhead.generation.beam import beam_of
from clearhead.generation.chains import propose_greedy, sampler
from clearhead.generation.hypothesis import Hypothesis
from clearhead.generation.protocol import END, PAD, AnyState, Decodable
from clearhead.generation.search import Propose, Sources, search
from clearhead.generation.settings import DecodingSettings

SHORTEST = 8  # sources count as at least this long: a row's logits cost memory however short its source is


def generate(
    model: Decodable[AnyState],
    sources: Sequence[Sequence[int]],
    settings: DecodingSettings,
    *,
    device: torch.device | str = "cpu",
) -> list[list[Hypothesis]]:
    """The ``settings.n_best`` best hypotheses of each source, best first; answers stand in the order of the sources.

    An answer is shorter only where the search space holds fewer hypotheses than that.

    ``sources`` are token ids without specials (the end symbol is appended here; an empty source is only that symbol).
    ``device`` is where the model lives. The model must be in evaluation mode.
    """
    results: list[list[Hypothesis]] = [[] for _ in sources]
    seed = settings.seed if settings.seed is not None else secrets.randbits(32)
    for places in batches([len(source) for source in sources], settings):
        batch = rectangle([sources[place] for place in places], settings, device)
        answers = search(model, batch, settings, proposal(settings, seed, places, batch))
        for place, answer in zip(places, answers, strict=True):
            results[place] = answer
    return results


def batches(lengths: Sequence[int], settings: DecodingSettings) -> Iterator[list[int]]:
    """Places of the sources of each batch, longest first: what does not fit in memory shows at once."""
    order = sorted(range(len(lengths)), key=lambda place: -lengths[place])
    start = 0
    while start < len(order):
        longest = max(lengths[order[start]] + 1, SHORTEST)
        rows = max(1, settings.batch_tokens // (longest * settings.width))
        yield order[start : start + rows]
        start += rows


def rectangle(sources: Sequence[Sequence[int]], settings: DecodingSettings, device: torch.device | str) -> Sources:
    """Sources with end symbol and padding as tensors (B, S), with the length limit of each."""
    longest = max(len(source) for source in sources) + 1
    rows = [[*source, END] + [PAD] * (longest - 1 - len(source)) for source in sources]
    lengths = torch.tensor([len(source) + 1 for source in sources], device=device)
    return Sources(
        ids=torch.tensor(rows, dtype=torch.int64, device=device),
        mask=torch.arange(longest, device=device) < lengths[:, None],
        limits=torch.tensor([settings.limit(len(source)) for source in sources], device=device),
    )


def proposal(settings: DecodingSettings, seed: int, places: Sequence[int], batch: Sources) -> Propose:
    """How the settings want candidates chosen."""
    if settings.sample:
        return sampler(settings, seed, places, batch.limits)
    return propose_greedy if settings.beam == 1 else beam_of(settings.beam)
