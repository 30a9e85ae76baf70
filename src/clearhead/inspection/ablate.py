"""Silence heads of a model from outside, for as long as a context is open: what a head says is replaced, nothing else.

    MultiHead = Σ_h z_h W_o^h + b_o;   a silenced head's z_h is 0, or its mean over some sample

Zero as in Michel et al. 2019 (arXiv 1905.10650), the mean as in Voita et al. 2019 (arXiv 1905.09418) and later work: a
head that says the same everywhere is worth nothing but its mean. A hook on the attention's inner step does it, on
whatever path the attention is computed, in evaluation, in generation with a cache and in training, where a silenced
head gets no gradient. Knows nothing of what heads are good for; that is ``service.head_importance``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError, ShapeError, nearest
from clearhead.inspection.capture import HasModel, network_of
from clearhead.inspection.seams import Seam, seams
from clearhead.inspection.uncompiled import uncompiled

Heads = Mapping[str, Sequence[int]]
Means = Mapping[str, Tensor]


@contextmanager
def without_heads(model: nn.Module | HasModel, heads: Heads, *, means: Means | None = None) -> Iterator[None]:
    """Silence ``heads``, such as ``{"decoder.3.cross": [0, 5]}``, while the context is open.

    Contexts may be nested: then all of their heads are silent, and of one that several name the outermost decides.

    Args:
        model: a network, or what ``clearhead.load`` returned.
        heads: numbers from 0 by the name of the attention; none at all changes nothing.
        means: what each head says instead, (H, M) by name, as ``head_means`` returns it; 0 when not given.

    Raises:
        ConfigurationError: the model has no such attention (the nearest is named) or head, or ``means`` lack one.
        ShapeError: a mean does not have the shape of what it replaces.
    """
    chosen = checked_heads(network_of(model), heads)
    with ExitStack() as stack:
        stack.enter_context(uncompiled())
        for seam, numbers in chosen:
            instead = None if means is None else _mean_of(seam, means)
            handle = seam.step.register_forward_hook(_silencer(seam, numbers, instead), prepend=True)
            stack.callback(handle.remove)
        yield


def head_means(model: nn.Module | HasModel, run: Callable[[], object]) -> dict[str, Tensor]:
    """What every head says on average while ``run`` uses the model: (H, M) float64 by name, all positions pooled.

    Every position counts that passes the seam, padding too: run sentences one at a time, or of one length.

    Raises:
        ConfigurationError: an attention was never used.
    """
    network = network_of(model)
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def adder(name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def add(_: nn.Module, given: tuple[Any, ...], mixed: Tensor) -> None:
            sums[name] = sums.get(name, 0.0) + mixed.detach().double().sum((0, 2))
            counts[name] = counts.get(name, 0) + mixed.shape[0] * mixed.shape[2]

        return add

    with ExitStack() as stack:
        stack.enter_context(uncompiled())
        for name, seam in seams(network).items():
            stack.callback(seam.step.register_forward_hook(adder(name)).remove)
        run()
    if unused := [name for name in seams(network) if not counts.get(name)]:
        raise ConfigurationError(
            f"nothing passed through {unused[0]} while the sample ran: expected it to use the model"
        )
    return {name: total / counts[name] for name, total in sums.items()}


def checked_heads(network: nn.Module, heads: Heads) -> list[tuple[Seam, list[int]]]:
    """The attentions that ``heads`` name, each with its heads in order.

    Raises:
        ConfigurationError: there is no such attention (the nearest is named), or no such head.
    """
    places = seams(network)
    found = []
    for name, numbers in heads.items():
        if name not in places:
            raise ConfigurationError(f"this model has no attention {name!r}{nearest(name, places)}")
        count = places[name].heads
        for number in numbers:
            if number not in range(count):
                raise ConfigurationError(
                    f"{name} has {count} head{'s' if count > 1 else ''}, so expected a number from 0 to {count - 1}, "
                    f"got {number!r}"
                )
        if numbers:
            found.append((places[name], sorted({int(number) for number in numbers})))
    return found


def _mean_of(seam: Seam, means: Means) -> Tensor:
    if seam.name not in means:
        raise ConfigurationError(
            f"means: expected one for {seam.name}, but there are only {', '.join(means) or 'none'}"
        )
    mean = means[seam.name]
    if mean.dim() != 2 or mean.shape[0] != seam.heads:
        raise ShapeError(f"means: expected (H, M) with {seam.heads} heads for {seam.name}, got {tuple(mean.shape)}")
    return mean


def _silencer(
    seam: Seam, numbers: Sequence[int], mean: Tensor | None
) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    chosen = torch.zeros(seam.heads, dtype=torch.bool)
    chosen[list(numbers)] = True

    def silence(_: nn.Module, given: tuple[Any, ...], mixed: Tensor) -> Tensor:
        where = chosen.to(mixed.device)[:, None, None]
        if mean is None:
            return mixed.masked_fill(where, 0.0)
        if mean.shape[1] != mixed.shape[3]:
            expected = (seam.heads, mixed.shape[3])
            raise ShapeError(f"means: expected (H, M) = {expected} for {seam.name}, got {tuple(mean.shape)}")
        return torch.where(where, mean.to(mixed)[:, None], mixed)

    return silence
