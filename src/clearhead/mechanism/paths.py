"""The three ways to compute the same attention: products, fused, streamed.

``products``: plain batched matrix products over the whole map. Where a processor multiplies bfloat16 in hardware, they
beat the backward of the fused CPU kernel on rows of a few dozen positions by far, so short training batches go here.
``fused``: torch's scaled_dot_product_attention, which never keeps the map.
``streamed``: blocks of query rows, each by ``fused`` where that computes the same function and by ``products`` where
not, recomputed in the backward pass; memory grows with T + S, never with T × S.

Each takes a checked ``Problem`` and knows nothing of modules. A query that may see nothing gets exactly 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from clearhead.hardware import multiplies_bfloat16
from clearhead.mechanism.biases import Bias, as_bias
from clearhead.mechanism.dropout import draw_seed, drawing_from, drop, seeded
from clearhead.mechanism.masks import Mask, Span
from clearhead.mechanism.normalizers import Normalizer, normalized
from clearhead.mechanism.scores import Score, default_scale, is_product, product_queries, score_map
from clearhead.mechanism.streaming import Block, Plan, leaves_behind, stream
from clearhead.mechanism.textbook import repeat_heads
from clearhead.shapes import Map

SHORT = 96  # up to this many queries and keys a training batch counts as short
TILE = 1 << 22  # elements of (B, H, rows, S) that may be held at once
CACHED, ROWS = 1 << 20, 32  # on a processor blocks of fewer elements are as quick, down to this many rows


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """One attention to compute: q (B, H, T, D), k (B, G, S, D), v (B, G, S, M) and what shapes its weights."""

    q: Tensor
    k: Tensor
    v: Tensor
    mask: Mask | None = None
    bias: Tensor | Bias | None = None
    scale: float | None = None
    softcap: float | None = None
    score: Score = "scaled_dot"
    normalize: Normalizer = "softmax"
    dropout: float = 0.0

    @property
    def queries(self) -> int:
        return self.q.shape[2]

    @property
    def keys(self) -> int:
        return self.k.shape[2]

    @property
    def factor(self) -> float:
        """The scale in force."""
        return default_scale(self.score, self.q.shape[-1]) if self.scale is None else self.scale

    @property
    def full(self) -> Map:
        """The sizes of the whole map (B, H, T, S)."""
        return (self.q.shape[0], self.q.shape[1], self.queries, self.keys)

    @property
    def map_size(self) -> int:
        """Elements of the whole map."""
        return math.prod(self.full)

    @property
    def trains(self) -> bool:
        """True when a backward pass will come through."""
        learned = self.q.requires_grad or self.k.requires_grad or self.v.requires_grad
        return torch.is_grad_enabled() and (learned or self.learns_bias or self.has_own_weights)

    @property
    def has_own_weights(self) -> bool:
        """True when something beside q, k, v and a tensor may want a gradient: a callable, or an expression's table."""
        asks = callable(self.score) or callable(self.normalize)
        expression = self.bias is not None and not isinstance(self.bias, Tensor)
        return torch.is_grad_enabled() and (asks or (expression and self.learns_bias))

    @property
    def learns_bias(self) -> bool:
        """True when the bias wants a gradient."""
        return self.bias is not None and as_bias(self.bias).learns(self.q.device)

    def fits_fused_kernel(self) -> bool:
        """True when torch's kernel computes the same function; its CPU kernel has no dropout and no bias gradient."""
        plain = is_product(self.score) and self.normalize == "softmax" and self.softcap is None
        return plain and self.dropout == 0.0 and not self.learns_bias


def choose(problem: Problem) -> Callable[[Problem], Tensor]:
    """The path for this shape, device and direction."""
    if short_rows_in_tiles(problem):
        return products
    if problem.fits_fused_kernel() and (plain_causal(problem) or given_map(problem) <= TILE):
        return fused
    return products if problem.map_size <= TILE else streamed


def given_map(problem: Problem) -> int:
    """Elements of the map of mask and bias that the fused kernel has to be given: a padding mask's has one row."""
    if problem.bias is None:
        return 0 if problem.mask is None else math.prod(problem.mask.shape(problem.full))
    biased = as_bias(problem.bias).shape(problem.full)
    masked = (1, 1, 1, 1) if problem.mask is None else problem.mask.shape(problem.full)
    return math.prod(max(sizes) for sizes in zip(biased, masked, strict=True))


def short_rows_in_tiles(problem: Problem) -> bool:
    """True for what plain products train faster than the fused CPU kernel; benchmarks/attention_paths.py measures it.

    With hardware for bfloat16 the kernel's backward took 28 ms a call at length 20 where products take 1 ms. Without
    it (AVX2) the kernel is the faster one at every length, in either precision.
    """
    reduced = problem.q.dtype in (torch.bfloat16, torch.float16)
    on_processor = problem.q.device.type == "cpu" and problem.trains and max(problem.queries, problem.keys) <= SHORT
    return on_processor and reduced and multiplies_bfloat16(problem.q.device)


def plain_causal(problem: Problem) -> bool:
    """True when the kernels' own causal flag says what the mask and bias say."""
    square = problem.queries == problem.keys
    return problem.mask is not None and problem.mask.is_plain_causal() and square and problem.bias is None


def products(problem: Problem) -> Tensor:
    """The equation by batched products over the whole map, in the dtype of q."""
    heads = problem.q.shape[1]
    k, v = repeat_heads(problem.k, heads), repeat_heads(problem.v, heads)
    allowed, blind = visibility(problem, (0, problem.queries), (0, problem.keys))
    q = _without_blind(problem.q, blind)
    if is_product(problem.score):
        scores_BHTS = (product_queries(problem.score, q) * problem.factor) @ k.transpose(-2, -1)
    else:
        scores_BHTS = score_map(problem.score, q, k) * problem.factor
    if problem.softcap is not None:
        scores_BHTS = problem.softcap * torch.tanh(scores_BHTS / problem.softcap)
    bias = bias_map(problem)
    if bias is not None:
        scores_BHTS = scores_BHTS + bias.to(scores_BHTS.dtype)
    if allowed is not None:
        scores_BHTS = scores_BHTS.masked_fill(~allowed, -math.inf)
    if blind is None and is_product(problem.score) and problem.normalize == "softmax":
        weights_BHTS = torch.softmax(scores_BHTS, -1)
    else:
        weights_BHTS = normalized(scores_BHTS, problem.normalize)
    if problem.dropout:
        weights_BHTS = drop(weights_BHTS, problem.dropout)
    mixed_BHTM = weights_BHTS @ v
    return mixed_BHTM if blind is None else mixed_BHTM.masked_fill(blind, 0.0)


def fused(problem: Problem) -> Tensor:
    """torch's fused kernel; unequal key and value widths are padded with zeros, which changes no score."""
    heads, width = problem.q.shape[1], problem.v.shape[3]
    causal = plain_causal(problem)
    allowed, blind = (None, None) if causal else visibility(problem, (0, problem.queries), (0, problem.keys))
    if blind is not None and allowed is not None:
        allowed = allowed | blind  # let the kernel see something; its answer for these rows is thrown away
    q = product_queries(problem.score, _without_blind(problem.q, blind))
    k, v = repeat_heads(problem.k, heads), repeat_heads(problem.v, heads)
    widest = max(q.shape[3], width)
    q, k, v = (x if x.shape[3] == widest else F.pad(x, (0, widest - x.shape[3])) for x in (q, k, v))
    if causal:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=problem.factor)[..., :width]
    bias = bias_map(problem)
    given = allowed if bias is None else _as_bias(bias, allowed, blind, q.dtype)
    mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=given, scale=problem.factor)[..., :width]
    return mixed if blind is None else mixed.masked_fill(blind, 0.0)


def streamed(problem: Problem, tile: int | None = None) -> Tensor:
    """Blocks of query rows, ``tile`` elements each; in training each is recomputed in the backward pass, not kept."""
    seed = draw_seed() if problem.dropout else 0

    def compute(parts: Sequence[Tensor], block: Block) -> Tensor:
        part = _part(problem, parts, block)
        if not problem.dropout:
            return (fused if part.fits_fused_kernel() else products)(part)
        with drawing_from(seeded(seed + block[0][0], part.q.device)):  # a recomputed block drops what it dropped
            return products(part)

    operands = [problem.q, problem.k, problem.v]
    if isinstance(problem.bias, Tensor):
        operands.append(problem.bias[(None,) * (4 - problem.bias.dim())])
    blocks = _blocks(problem, TILE if tile is None else tile)
    learned = leaves_behind(compute, operands, blocks[0]) if problem.has_own_weights else ()
    return stream(Plan(blocks, compute, learned), operands)


def _blocks(problem: Problem, tile: int) -> list[Block]:
    """Rows whose map fits a tile, with the keys they cannot see left away."""
    per_row = max(1, problem.map_size // max(1, problem.queries))
    height = tile // per_row
    if problem.q.device.type == "cpu":
        height = min(height, max(ROWS, CACHED // per_row))
    height = max(1, min(problem.queries, height))
    blocks = []
    for start in range(0, max(1, problem.queries), height):
        rows = (start, min(start + height, problem.queries))
        columns = (0, problem.keys) if problem.mask is None else problem.mask.columns(rows, problem.keys)
        blocks.append((rows, columns if columns[0] < columns[1] else (0, min(1, problem.keys))))
    return blocks


def _part(problem: Problem, parts: Sequence[Tensor], block: Block) -> Problem:
    """The part of a problem that concerns a block; ``parts`` are those of q, k, v and of a bias that is a tensor."""
    (row, _), (column, _) = block
    q, k, v, *given = parts
    bias: Tensor | Bias | None = given[0] if given else None
    if not given and problem.bias is not None:
        bias = as_bias(problem.bias).shifted(row, column)
    mask = None if problem.mask is None else _Shifted(problem.mask, row, column)
    return replace(problem, q=q, k=k, v=v, mask=mask, bias=bias)


def bias_map(problem: Problem) -> Tensor | None:
    """The whole bias of a problem written out, broadcastable to (B, H, T, S)."""
    return None if problem.bias is None else as_bias(problem.bias).full(problem.queries, problem.keys, problem.q.device)


@dataclass(frozen=True, eq=False)
class _Shifted(Mask):
    """A mask seen from a block whose first row and column are not 0."""

    inner: Mask
    row: int
    column: int

    def tile(self, rows: Span, columns: Span, device: torch.device) -> Tensor:
        (a, b), (c, d) = rows, columns
        return self.inner.tile((a + self.row, b + self.row), (c + self.column, d + self.column), device)


def visibility(problem: Problem, rows: Span, columns: Span) -> tuple[Tensor | None, Tensor | None]:
    """(allowed, blind): the boolean tile, or None for all; and which rows (…, t, 1) see nothing, or None for none."""
    allowed = None if problem.mask is None else problem.mask.tile(rows, columns, problem.q.device)
    bias = None if problem.bias is None else as_bias(problem.bias)
    if bias is not None and bias.may_mask():
        barred = bias.tile(rows, columns, problem.q.device).detach() == -math.inf
        if bool(barred.any()):
            allowed = ~barred if allowed is None else allowed & ~barred
    if allowed is None:
        return None, None
    blind = ~allowed.any(-1, keepdim=True)
    return allowed, blind if bool(blind.any()) else None


def _without_blind(q: Tensor, blind: Tensor | None) -> Tensor:
    """Queries that see nothing as zeros, so that nothing in them, NaN included, sends a gradient to the keys."""
    return q if blind is None else q.masked_fill(blind, 0.0)


def _as_bias(bias: Tensor, allowed: Tensor | None, blind: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Mask and bias as the one additive map that the fused kernel takes."""
    bias = bias.to(dtype)
    if allowed is None:
        return bias
    if blind is not None:
        bias = bias.masked_fill(blind, 0.0)
    return torch.where(allowed, bias, torch.full((), -math.inf, dtype=dtype, device=bias.device))
