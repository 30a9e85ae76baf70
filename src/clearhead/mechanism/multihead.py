"""Multi-head attention as modules: project, attend in every head, mix the heads back into the residual stream.

    MultiHead(Q, K, V) = Concat(head_1 … head_H) W_o,   head_h = Attention(Q W_q^h, K W_k^h, V W_v^h)

(section 3.2.2, arXiv 1706.03762.) W_o is one linear map with no activation; cut by head it is the stack of the heads'
value-up matrices. The one seam is ``step``: it receives q, k, v, the mask and the bias of every call, so whoever wants
to look inside hooks it from outside. These modules know nothing of whoever looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from clearhead.mechanism.biases import Bias
from clearhead.mechanism.cache import LayerCache
from clearhead.mechanism.head_norm import HeadNorm
from clearhead.mechanism.left import Left
from clearhead.mechanism.linear import columns_of, rows_of
from clearhead.mechanism.masks import Mask
from clearhead.mechanism.normalizers import Normalizer
from clearhead.mechanism.paths import Problem, choose
from clearhead.mechanism.positions import Relative
from clearhead.mechanism.scores import Additive, Bilinear, Score, ScoreFunction, score_of_heads


@dataclass(frozen=True, slots=True)
class HeadSizes:
    """Widths of one multi-head attention: W in and out, H query heads, G key/value heads, D per key, M per value.

    ``bias`` and ``output_bias`` say whether W_q, W_k, W_v and whether W_o add one; ``norm_epsilon`` is that of the
    norms of queries and keys in self-attention, None for no norms.
    """

    width: int
    heads: int
    groups: int
    key: int
    value: int
    bias: bool = True
    output_bias: bool = True
    norm_epsilon: float | None = None

    @property
    def projected(self) -> tuple[int, int, int]:
        """Columns of the query, key and value projections."""
        return self.heads * self.key, self.groups * self.key, self.groups * self.value


@dataclass(frozen=True, slots=True)
class Weighting:
    """How scores are made and become weights: names of ``SCORES`` here and of ``NORMALIZERS``, or a user's callables.

    ``hidden`` is the width inside the tanh of the additive score; that of a key when not given.
    """

    score: str | ScoreFunction = "scaled_dot"
    normalize: Normalizer = "softmax"
    hidden: int | None = None

    def scorer(self, sizes: HeadSizes) -> Score:
        """The score of one attention of these sizes, with weights of its own where it has weights."""
        return self.score if callable(self.score) else SCORES[self.score](sizes, self.hidden or sizes.key)


SCORES: dict[str, Callable[[HeadSizes, int], Score]] = {
    "dot": lambda sizes, hidden: "dot",
    "scaled_dot": lambda sizes, hidden: "scaled_dot",
    "additive": lambda sizes, hidden: Additive(sizes.key, hidden, sizes.heads),
    "bilinear": lambda sizes, hidden: Bilinear(sizes.key, sizes.heads),
}
SCALED_DOT = Weighting()


class AttentionStep(nn.Module):
    """The inner step, the inspector's seam: q (B, H, T, D), k (B, G, S, D), v (B, G, S, M), mask, bias → (B, H, T, M).

    ``recurrent`` says that one pass over a sequence calls it once a query, each time with the same keys.
    """

    def __init__(
        self,
        dropout: float = 0.0,
        score: Score = "scaled_dot",
        normalize: Normalizer = "softmax",
        *,
        recurrent: bool = False,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.score = score
        self.normalize = normalize
        self.recurrent = recurrent

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Mask | None, bias: Bias | None = None) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        problem = Problem(q, k, v, mask, bias, score=self.score, normalize=self.normalize, dropout=dropout)
        return choose(problem)(problem)


class SelfAttention(nn.Module):
    """Queries, keys and values from one sequence, by one packed projection."""

    def __init__(self, sizes: HeadSizes, dropout: float = 0.0, weighting: Weighting = SCALED_DOT) -> None:
        super().__init__()
        self.sizes = sizes
        self.query_key_value = nn.Linear(sizes.width, sum(sizes.projected), bias=sizes.bias)
        epsilon = sizes.norm_epsilon
        self.query_norm, self.key_norm = (None if epsilon is None else HeadNorm(sizes.key, epsilon) for _ in range(2))
        self.step = AttentionStep(dropout, weighting.scorer(sizes), weighting.normalize)
        self.output = nn.Linear(sizes.heads * sizes.value, sizes.width, bias=sizes.output_bias)
        self.left: Left | None = None

    def keep(self, heads: Sequence[int]) -> None:
        """Only these heads go on, by their present numbers, in order; the weights of the others are gone."""
        left, sizes = self.left or Left.whole(self.sizes.heads, self.sizes.groups), self.sizes
        queries, keys, values = torch.split(torch.arange(sum(sizes.projected)), list(sizes.projected))
        groups = left.sources(heads)
        chosen = [of_heads(queries, sizes.heads, heads), *(of_heads(x, sizes.groups, groups) for x in (keys, values))]
        self.query_key_value = rows_of(self.query_key_value, torch.cat(chosen))
        _keep_rest(self, left, heads)

    def forward(
        self, x: Tensor, mask: Mask | None = None, cache: LayerCache | None = None, relative: Relative | None = None
    ) -> Tensor:
        """x (B, T, W) → (B, T, W); with a cache, x holds only the new positions, and so does ``relative``."""
        q, k, v = self.query_key_value(x).split(self.sizes.projected, dim=-1)
        q, k, v = split_heads(q, self.sizes.heads), split_heads(k, self.sizes.groups), split_heads(v, self.sizes.groups)
        if self.query_norm is not None and self.key_norm is not None:
            q, k = self.query_norm(q), self.key_norm(k)
        if relative is not None and relative.turn is not None:
            q, k = relative.turn(q), relative.turn(k)
        if cache is not None:
            k, v = cache.append(k, v)
        bias = None if relative is None else relative.bias
        if self.left is not None:
            k, v = self.left.spread(k), self.left.spread(v)
            bias = None if bias is None else bias.of_heads(self.left.heads)
        mixed: Tensor = self.output(join_heads(self.step(q, k, v, mask, bias)))
        return mixed


class CrossAttention(nn.Module):
    """Queries from one sequence, keys and values from another, which are projected once and handed back in."""

    def __init__(self, sizes: HeadSizes, dropout: float = 0.0, weighting: Weighting = SCALED_DOT) -> None:
        super().__init__()
        self.sizes = sizes
        queries, keys, values = sizes.projected
        self.query = nn.Linear(sizes.width, queries, bias=sizes.bias)
        self.key_value = nn.Linear(sizes.width, keys + values, bias=sizes.bias)
        self.step = AttentionStep(dropout, weighting.scorer(sizes), weighting.normalize)
        self.output = nn.Linear(sizes.heads * sizes.value, sizes.width, bias=sizes.output_bias)
        self.left: Left | None = None

    def keep(self, heads: Sequence[int]) -> None:
        """Only these heads go on, by their present numbers, in order; the weights of the others are gone."""
        left, sizes = self.left or Left.whole(self.sizes.heads, self.sizes.groups), self.sizes
        queries, groups = torch.arange(sizes.projected[0]), left.sources(heads)
        columns = torch.split(torch.arange(sum(sizes.projected[1:])), list(sizes.projected[1:]))
        self.query = rows_of(self.query, of_heads(queries, sizes.heads, heads))
        self.key_value = rows_of(self.key_value, torch.cat([of_heads(x, sizes.groups, groups) for x in columns]))
        _keep_rest(self, left, heads)

    def project(self, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Keys (B, G, S, D) and values (B, G, S, M) of the sequence attended to, (B, S, W); once per sentence."""
        k, v = self.key_value(memory).split(self.sizes.projected[1:], dim=-1)
        k, v = split_heads(k, self.sizes.groups), split_heads(v, self.sizes.groups)
        return (k, v) if self.left is None else (self.left.spread(k), self.left.spread(v))

    def forward(self, x: Tensor, keys_values: tuple[Tensor, Tensor], mask: Mask | None = None) -> Tensor:
        """x (B, T, W) looks at what ``project`` made: (B, T, W)."""
        q = split_heads(self.query(x), self.sizes.heads)
        mixed: Tensor = self.output(join_heads(self.step(q, *keys_values, mask)))
        return mixed


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, T, H·D) → (B, H, T, D), a view."""
    return x.view(*x.shape[:2], heads, x.shape[2] // heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """(B, H, T, M) → (B, T, H·M)."""
    return x.transpose(1, 2).flatten(2)


def value_up(output: nn.Linear, heads: int) -> Tensor:
    """W_o by head: (H, M, W); head h adds z_h @ value_up[h] to the residual stream, and a bias is added once."""
    return torch.stack(acting_weight(output).t().chunk(heads, dim=0))


def acting_weight(projection: nn.Linear) -> Tensor:
    """The one matrix that a projection comes to: its weight, ``merged()`` with what is beside it where something is."""
    merged: Callable[[], Tensor] | None = getattr(projection, "merged", None)
    return projection.weight if merged is None else merged()


def of_heads(columns: Tensor, heads: int, chosen: Sequence[int]) -> Tensor:
    """Those of ``columns`` (H·D,) that belong to the chosen of H heads."""
    return columns.view(heads, -1)[list(chosen)].flatten()


def _keep_rest(attention: SelfAttention | CrossAttention, left: Left, heads: Sequence[int]) -> None:
    """What both kinds of attention have: the output matrix, the score, the sizes."""
    sizes = attention.sizes
    rows = of_heads(torch.arange(sizes.heads * sizes.value), sizes.heads, heads)
    attention.output = columns_of(attention.output, rows)
    attention.step.score = score_of_heads(attention.step.score, heads)
    attention.left = left.take(heads)
    attention.sizes = replace(sizes, heads=len(heads), groups=attention.left.groups)
