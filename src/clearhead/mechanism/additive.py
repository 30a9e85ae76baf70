"""The additive score's arithmetic, in memory that does not grow with pairs times hidden width.

    s_ij = w · tanh(q_i + k_j)            (appendix A.1.2, arXiv 1409.0473; q and k are projected already)

Written out, tanh has a value for every pair and hidden unit, (N, T, S, E). Here it is made a rectangle at a time, used,
and thrown away; the backward pass makes it again. With h = tanh(·), the gradient of the sum inside is g w (1 − h²), so

    ∂q_i = w (Σ_j g_ij − Σ_j g_ij h²),    ∂k_j = w (Σ_i g_ij − Σ_i g_ij h²),    ∂w = Σ_ij g_ij h,

and h² is all that has to be summed. N is batch times heads, E the hidden width.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ON_PROCESSOR, ON_DEVICE = 1 << 18, 1 << 24  # values of tanh made at a time: what a cache holds, what fills a GPU


def additive_scores(q: Tensor, k: Tensor, w: Tensor) -> Tensor:
    """Σ_e w_e tanh(q_ie + k_je): q (N, T, E), k (N, S, E), w (N, E), float32 or float64 → (N, T, S)."""
    scores: Tensor = _AdditiveScores.apply(q, k, w)  # type: ignore[no-untyped-call]
    return scores


def _rectangles(q: Tensor, k: Tensor) -> Iterator[tuple[slice, slice, slice]]:
    """Parts of (N, T, S) that each make few enough values of tanh."""
    (pairs, queries, hidden), keys = q.shape, k.shape[1]
    limit = ON_PROCESSOR if q.device.type == "cpu" else ON_DEVICE
    width = _at_most(limit // hidden, keys)
    height = _at_most(limit // (hidden * width), queries)
    depth = _at_most(limit // (hidden * width * height), pairs)
    for n in range(0, pairs, depth):
        for i in range(0, queries, height):
            for j in range(0, keys, width):
                yield slice(n, n + depth), slice(i, i + height), slice(j, j + width)


def _at_most(wanted: int, size: int) -> int:
    return max(1, min(wanted, size))


def _hidden(q: Tensor, k: Tensor) -> Tensor:
    """tanh(q_i + k_j), (n, t, s, E)."""
    return (q[:, :, None] + k[:, None]).tanh_()


class _AdditiveScores(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, w: Tensor) -> Tensor:
        ctx.save_for_backward(q, k, w)
        scores = q.new_empty(q.shape[0], q.shape[1], k.shape[1])
        with torch.autocast(q.device.type, enabled=False):
            for n, i, j in _rectangles(q, k):
                scores[n, i, j] = (_hidden(q[n, i], k[n, j]).flatten(1, 2) @ w[n, :, None]).view_as(scores[n, i, j])
        return scores

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, w = ctx.saved_tensors
        to_q, to_k, to_w = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(w)
        for n, i, j in _rectangles(q, k):
            g, hidden = gradient[n, i, j], _hidden(q[n, i], k[n, j])
            to_w[n] += (g.reshape(len(g), 1, -1) @ hidden.flatten(1, 2))[:, 0]
            squared = hidden.mul_(hidden).mul_(g[..., None])
            to_q[n, i] += g.sum(2)[..., None] - squared.sum(2)
            to_k[n, j] += g.sum(1)[..., None] - squared.sum(1)
        return to_q.mul_(w[:, None]), to_k.mul_(w[:, None]), to_w
