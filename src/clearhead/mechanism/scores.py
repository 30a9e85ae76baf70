"""Score functions: how well a query fits a key, before scale, cap, bias, mask and normaliser.

    dot           q · k
    scaled dot    q · k / √D              (section 3.2.1, arXiv 1706.03762)
    bilinear      q W k                   ("general", Luong et al., section 3.1, arXiv 1508.04025)
    additive      w · tanh(W_q q + W_k k) (Bahdanau et al., appendix A.1.2, arXiv 1409.0473)

The scaled dot product keeps the variance of the scores at 1 for unit-variance queries and keys, which keeps the
softmax out of saturation. A user's own callable takes (q, k) to scores (B, H, T, S).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError, ShapeError, nearest
from clearhead.mechanism.additive import additive_scores
from clearhead.shapes import check_map

ScoreFunction = Callable[[Tensor, Tensor], Tensor]
Score = Literal["dot", "scaled_dot"] | ScoreFunction


def dot(q: Tensor, k: Tensor) -> Tensor:
    """q · k for every pair: (B, H, T, D), (B, H, S, D) → (B, H, T, S)."""
    return q @ k.transpose(-2, -1)


SCORES: dict[str, ScoreFunction] = {"dot": dot, "scaled_dot": dot}
WITH_WEIGHTS = {"additive": "Additive(D, hidden)", "bilinear": "Bilinear(D)"}


class Bilinear(nn.Module):
    """q W k for every pair: a dot product of the keys with queries put through W, so the fused kernels compute it.

    Args:
        key_width: D, the width of queries and keys.
        heads: H gives each head a W of its own, (H, D, D); None shares one, (D, D), among all.
    """

    def __init__(self, key_width: int, heads: int | None = None) -> None:
        super().__init__()
        _check_sizes("Bilinear", {"key_width": key_width, "heads": 1 if heads is None else heads})
        self.by_head = heads is not None
        self.weight = nn.Parameter(torch.empty(*_by_head(heads), key_width, key_width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scores of variance 1 for queries and keys of variance 1."""
        nn.init.normal_(self.weight, std=1.0 / self.weight.shape[-1])

    def queries(self, q: Tensor) -> Tensor:
        """q W: the queries whose dot product with the keys is the score."""
        _check_fits("Bilinear", self.weight, q)
        return q @ self.weight.to(q.dtype)

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """q (B, H, T, D), k (B, H, S, D) → (B, H, T, S)."""
        return dot(self.queries(q), k)


class Additive(nn.Module):
    """w · tanh(W_q q + W_k k) for every pair, without ever holding tanh for all pairs.

    Args:
        key_width: D, the width of queries and keys.
        hidden: E, the width inside the tanh.
        heads: H gives each head weights of its own, (H, D, E) and (H, E); None shares one set among all.
    """

    def __init__(self, key_width: int, hidden: int, heads: int | None = None) -> None:
        super().__init__()
        _check_sizes("Additive", {"key_width": key_width, "hidden": hidden, "heads": 1 if heads is None else heads})
        self.by_head = heads is not None
        self.query = nn.Parameter(torch.empty(*_by_head(heads), key_width, hidden))
        self.key = nn.Parameter(torch.empty(*_by_head(heads), key_width, hidden))
        self.weight = nn.Parameter(torch.empty(*_by_head(heads), hidden))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Inside the tanh variance 1, and scores of variance at most 1, for queries and keys of variance 1."""
        key_width, hidden = self.query.shape[-2:]
        nn.init.normal_(self.query, std=math.sqrt(0.5 / key_width))
        nn.init.normal_(self.key, std=math.sqrt(0.5 / key_width))
        nn.init.normal_(self.weight, std=1.0 / math.sqrt(hidden))

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        """q (B, H, T, D), k (B, H, S, D) → (B, H, T, S). In float32 at least, whatever q's precision."""
        _check_fits("Additive", self.query, q)
        exact = torch.promote_types(q.dtype, torch.float32)
        projected = (x @ w.to(x.dtype) for x, w in ((q, self.query), (k, self.key)))
        q_NTE, k_NSE = (x.to(exact).flatten(0, 1) for x in projected)
        w_NE = self.weight.to(exact).expand(*q.shape[:2], -1).flatten(0, 1)
        return additive_scores(q_NTE, k_NSE, w_NE).view(*q.shape[:3], k.shape[2]).to(q.dtype)


def scorer(score: Score) -> ScoreFunction:
    """The function behind a name, or the user's own."""
    if callable(score):
        return score
    if score not in SCORES:
        made = WITH_WEIGHTS.get(score)
        hint = f"; it has weights: give clearhead.scores.{made}" if made else nearest(score, SCORES)
        raise ConfigurationError(
            f"score must be one of {', '.join(SCORES)} or a callable (q, k) -> scores, got {score!r}{hint}"
        )
    return SCORES[score]


def score_of_heads(score: Score, heads: Sequence[int]) -> Score:
    """The score of these heads alone, with the weights that are theirs; the same where heads have none."""
    if not isinstance(score, Additive | Bilinear) or not score.by_head:
        return score
    chosen = copy.deepcopy(score)
    for name, weight in score.named_parameters(recurse=False):
        setattr(chosen, name, nn.Parameter(weight.detach()[list(heads)].clone(), requires_grad=weight.requires_grad))
    return chosen


def score_map(score: Score, q: Tensor, k: Tensor) -> Tensor:
    """Scores (B, H, T, S) of q (B, H, T, D) against k (B, H, S, D); a user's callable is held to that shape."""
    scores = scorer(score)(q, k)
    check_map("score", scores, (*q.shape[:3], k.shape[2]))
    return scores


def default_scale(score: Score, key_width: int) -> float:
    """The factor applied to a score when the caller gives none: 1/√D for the scaled dot product, else 1."""
    return 1.0 / math.sqrt(key_width) if score == "scaled_dot" else 1.0


def is_product(score: Score) -> bool:
    """True for the scores that a matrix product computes, and so the fused kernels too."""
    return (isinstance(score, str) and score in ("dot", "scaled_dot")) or isinstance(score, Bilinear)


def product_queries(score: Score, q: Tensor) -> Tensor:
    """What the keys are multiplied with, for a score that ``is_product``: q itself, or q W."""
    return score.queries(q) if isinstance(score, Bilinear) else q


def _by_head(heads: int | None) -> tuple[int, ...]:
    return () if heads is None else (heads,)


def _check_sizes(name: str, sizes: dict[str, int]) -> None:
    for size, value in sizes.items():
        if value < 1:
            raise ConfigurationError(f"{name} needs a {size} of at least 1, got {value}")


def _check_fits(name: str, weight: Tensor, q: Tensor) -> None:
    """Refuse queries that the weights (…, D, ·) were not made for."""
    heads = weight.shape[0] if weight.dim() == 3 else q.shape[1]
    if (q.shape[1], q.shape[3]) != (heads, weight.shape[-2]):
        raise ShapeError(
            f"{name} was made for {heads} heads of width {weight.shape[-2]}, got q (B, H, T, D) = {tuple(q.shape)}"
        )
