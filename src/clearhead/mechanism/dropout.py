"""Dropout as a function, drawn from random bits by the word.

Srivastava et al. 2014, with the kept values scaled up. Drawing 16-bit integers out of 64-bit random words costs a
fraction of one Bernoulli draw a value; the probability is thereby rounded to a multiple of 1/65,536, and the scale is
that of the rounded probability, so the expectation is exact. Randomness comes from torch's default generator, or from
the one that ``drawing_from`` names for the present thread: threads side by side must not share one, or nothing could
be repeated.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Generator, Tensor

STEPS = 1 << 16
_thread = threading.local()


@contextmanager
def drawing_from(generator: Generator | None) -> Iterator[None]:
    """Inside, dropout in this thread draws from ``generator``; None is torch's default one."""
    before = present_generator()
    _thread.generator = generator
    try:
        yield
    finally:
        _thread.generator = before


def present_generator() -> Generator | None:
    """What dropout in this thread draws from; None is torch's default generator."""
    generator: Generator | None = getattr(_thread, "generator", None)
    return generator


def draw_seed() -> int:
    """A seed for a generator of one's own, drawn on the processor."""
    source = present_generator()
    source = source if source is None or source.device.type == "cpu" else None
    return int(torch.randint(1 << 62, (), generator=source))


def seeded(seed: int, device: torch.device) -> Generator:
    """A generator that gives the same numbers for the same seed."""
    return Generator(device).manual_seed(seed)


def drop(x: Tensor, p: float) -> Tensor:
    """Dropout as a function: x of any shape, p in [0, 1)."""
    limit = min(round(p * STEPS), STEPS - 1)
    if limit == 0:
        return x
    dropped: Tensor = _Drop.apply(x, _kept(x, limit), STEPS / (STEPS - limit))  # type: ignore[no-untyped-call]
    return dropped


def _kept(x: Tensor, limit: int) -> Tensor:
    """True where a value survives."""
    count = x.numel()
    words = torch.empty((count + 3) // 4, dtype=torch.int64, device=x.device)
    draws = words.random_(-(1 << 63), None, generator=present_generator()).view(torch.int16)[:count]
    return (draws >= limit - (STEPS >> 1)).view(x.shape)


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, kept: Tensor, scale: float) -> Tensor:
        ctx.save_for_backward(kept)
        ctx.scale = scale
        return (x * kept).mul_(scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (kept,) = ctx.saved_tensors
        return (gradient * kept).mul_(ctx.scale), None, None
