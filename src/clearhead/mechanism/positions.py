"""Positions that act inside attention: queries and keys turned, or a bias on the scores by distance.

    rotary  q_i and k_j turned by angles i·θ and j·θ, so that q_i · k_j depends on i − j  (arXiv 2104.09864)
    alibi   −slope_h · |i − j|, nothing learned                                            (arXiv 2108.12409)
    t5      a learned number a head for each bucket of distances                           (arXiv 1910.10683)

A stack of blocks owns one of these and asks it once a pass; what it answers, ``Relative``, serves every layer.
Positions added to the embedding (sinusoidal, learned) are ``layers.embedding``'s.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clearhead.mechanism import biases
from clearhead.mechanism.biases import Bias, ByDistance
from clearhead.mechanism.stretch import Stretch, as_they_are

BASE = 10000.0  # of rotary frequencies
BUCKETS, FARTHEST = 32, 128  # of T5: distances from FARTHEST on share the last bucket


@dataclass(frozen=True, slots=True, eq=False)
class Relative:
    """What positions do in one pass: ``turn`` new queries and keys (B, H, T, D), or add a ``bias`` to the scores."""

    turn: Callable[[Tensor], Tensor] | None = None
    bias: Bias | None = None


class RelativePositions(nn.Module, ABC):
    """A scheme that knows where ``count`` new positions stand, the first of them at ``start``."""

    @abstractmethod
    def at(self, start: int, count: int, like: Tensor) -> Relative:
        """What these positions do to queries and keys of the device and dtype of ``like``."""


class Rotary(RelativePositions):
    """Columns c and c + D/2 of queries and keys, taken as a plane, are turned by position · ``base``^(−2c/D)."""

    def __init__(self, key_width: int, base: float = BASE, stretch: Stretch = as_they_are) -> None:
        super().__init__()
        self.key_width = key_width
        self.base = base
        self.stretch = stretch

    def at(self, start: int, count: int, like: Tensor) -> Relative:
        places = torch.arange(start, start + count, dtype=torch.float64, device=like.device)
        angles = places[:, None] * self.stretch(frequencies(self.key_width, like.device, self.base))
        dtype = torch.promote_types(like.dtype, torch.float32)
        cosine, sine = angles.cos().to(dtype), angles.sin().to(dtype)
        return Relative(turn=lambda x: turned(x, cosine, sine))


class Alibi(RelativePositions):
    """The farther, the lower the score, at a rate of its own for each head."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def at(self, start: int, count: int, like: Tensor) -> Relative:
        return Relative(bias=biases.alibi(slopes(self.heads).to(like.device), start))


class Buckets(RelativePositions):
    """T5's: ``table`` (32, H) of numbers added to the scores; half of its rows look ahead unless ``causal``."""

    def __init__(self, heads: int, *, causal: bool, buckets: int = BUCKETS, farthest: int = FARTHEST) -> None:
        super().__init__()
        self.causal = causal
        self.farthest = farthest
        self.table = nn.Parameter(torch.zeros(buckets, heads))

    def at(self, start: int, count: int, like: Tensor) -> Relative:
        return Relative(bias=biases.relative(self.table, self._bucket, start))

    def _bucket(self, distances: Tensor) -> Tensor:
        return bucket(distances, self.causal, len(self.table), self.farthest)


class ByRule(RelativePositions):
    """A user's own: distances j − i (n,) int64 → numbers (H, n) added to the scores."""

    def __init__(self, rule: ByDistance, heads: int) -> None:
        super().__init__()
        self.rule = rule
        self.heads = heads

    def at(self, start: int, count: int, like: Tensor) -> Relative:
        return Relative(bias=biases.by_distance(self.rule, self.heads, start))


def frequencies(key_width: int, device: torch.device, base: float = BASE) -> Tensor:
    """θ of every plane, (D/2,) float64: base^(−2c/D)."""
    columns = torch.arange(0, key_width, 2, dtype=torch.float64, device=device)
    return torch.exp(columns * (-math.log(base) / key_width))


def turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """x (B, H, T, D), each plane turned by its angle (T, D/2); in float32 at least, returned in the dtype of x."""
    first, second = x.to(cosine.dtype).chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1).to(x.dtype)


def slopes(heads: int) -> Tensor:
    """ALiBi's rates (H,): 2^(−8/H), 2^(−16/H), …; where H is no power of two, every other of twice the next lower one
    fills up (section 3 and footnote 4 of arXiv 2108.12409)."""
    whole = 1 << (heads.bit_length() - 1)
    between = 2 * whole
    exponents = [8 * (n + 1) / whole for n in range(whole)]
    exponents += [8 * (n + 1) / between for n in range(0, between, 2)][: heads - whole]
    return torch.tensor([2.0**-exponent for exponent in exponents])


def bucket(distances: Tensor, causal: bool, buckets: int = BUCKETS, farthest: int = FARTHEST) -> Tensor:
    """T5's bucket of each distance j − i: near ones have one each, farther ones share in logarithmic steps.

    Both ways half of the buckets look back and half ahead; a causal stack has them all for looking back.
    """
    one_way = buckets if causal else buckets // 2
    ahead = torch.zeros_like(distances) if causal else (distances > 0) * one_way
    steps = (-distances).clamp(min=0) if causal else distances.abs()
    exact = one_way // 2
    ratio = torch.log(steps.clamp(min=1).float() / exact) / math.log(farthest / exact)
    shared = exact + (ratio * (one_way - exact)).long()
    return ahead + torch.where(steps < exact, steps, shared.clamp(max=one_way - 1))
