"""The attention of recurrent translation: e_j = w · tanh(W_q s + W_k h_j), its softmax, the mean of the h_j by it.

Bahdanau et al., arXiv 1409.0473, appendix A.1.2. One head; keys are projected once a sentence, values are the encoder's
states themselves. The step is the same seam that Transformers have, called once a position.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clearhead.mechanism.additive import additive_scores
from clearhead.mechanism.masks import Mask
from clearhead.mechanism.multihead import AttentionStep, HeadSizes


class TanhScore(nn.Module):
    """w · tanh(q + k) for queries and keys that are projected already: (B, 1, T, E), (B, 1, S, E) → (B, 1, T, S)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        exact = torch.promote_types(q.dtype, torch.float32)
        q_NTE, k_NSE = (x.to(exact).flatten(0, 1) for x in (q, k))
        w_NE = self.weight.to(exact).expand(q_NTE.shape[0], -1)
        return additive_scores(q_NTE, k_NSE, w_NE).view(*q.shape[:3], k.shape[2]).to(q.dtype)


class AdditiveAttention(nn.Module):
    """One head over the encoder's states, its keys projected once a sentence; the values are the states themselves."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.sizes = HeadSizes(width, heads=1, groups=1, key=width, value=width)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width)
        self.step = AttentionStep(dropout, TanhScore(width), recurrent=True)
        self.output = nn.Linear(width, width, bias=False)

    def project(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, 1, S, W) of the encoder's states (B, S, W)."""
        return self.key(states)[:, None], states[:, None]

    def forward(self, x: Tensor, keys_values: tuple[Tensor, Tensor], mask: Mask | None = None) -> Tensor:
        """x (B, K, W) looks at what ``project`` made: (B, K, W)."""
        keys, values = keys_values
        mixed: Tensor = self.output(
            self.step(self.query(x)[:, None].to(keys.dtype), keys, values.to(keys.dtype), mask)[:, 0]
        )
        return mixed
