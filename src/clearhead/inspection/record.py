"""One call of one attention: what went in, what came out, and everything that can be read off it when somebody asks.

A record holds references, no copies: q, k, v, the mask and the bias as the attention got them, and what it mixed. Maps
are computed from these by the equation (``mechanism.textbook``), rectangles of long ones by ``inspection.tiles``,
always as in evaluation: dropout on weights is noise of training and not shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from clearhead.inspection.digest import digest
from clearhead.inspection.tiles import checked_heads, raw_scores, weights_tile
from clearhead.mechanism.attention import attention_scores, attention_weights
from clearhead.mechanism.biases import Bias
from clearhead.mechanism.masks import Mask, Span
from clearhead.mechanism.multihead import value_up
from clearhead.mechanism.normalizers import Normalizer
from clearhead.mechanism.paths import Problem
from clearhead.mechanism.scores import Score
from clearhead.mechanism.summary import AttentionSummary


@dataclass(frozen=True, eq=False)
class AttentionRecord:
    """One call of one attention: q (B, H, T, D), k (B, G, S, D), v (B, G, S, M), the mask, and z (B, H, T, M).

    With what shaped its weights: the bias, the score and the normaliser, whose own weights are the model's still.
    ``output`` is W_o, as it is in the model when it is asked.
    """

    name: str
    q: Tensor
    k: Tensor
    v: Tensor
    mask: Mask | None
    mixed: Tensor
    output: nn.Linear
    bias: Bias | None = None
    score: Score = "scaled_dot"
    normalize: Normalizer = "softmax"

    @property
    def kind(self) -> str:
        """ "self" or "cross"."""
        return self.name.rpartition(".")[2]

    @property
    def heads(self) -> int:
        """H."""
        return self.q.shape[1]

    @property
    def queries(self) -> int:
        """T."""
        return self.q.shape[2]

    @property
    def keys(self) -> int:
        """S."""
        return self.k.shape[2]

    def problem(self) -> Problem:
        """What this call had to compute, as in evaluation."""
        return Problem(self.q, self.k, self.v, self.mask, self.bias, score=self.score, normalize=self.normalize)

    def scores(self) -> Tensor:
        """Scaled scores before the mask (B, H, T, S)."""
        with torch.no_grad():
            return attention_scores(self.q, self.k, bias=self.bias, score=self.score)

    def weights(self) -> Tensor:
        """The whole map of attention weights (B, H, T, S); for long inputs see ``summary`` and ``tile``."""
        with torch.no_grad():
            return attention_weights(
                self.q, self.k, mask=self.mask, bias=self.bias, score=self.score, normalize=self.normalize
            )

    @cached_property
    def summary(self) -> AttentionSummary:
        """Log-normalisers, entropies, received mass, top keys and distances, exact, without the map; computed once."""
        with torch.no_grad():
            return digest(self.problem())

    def tile(self, rows: Span, columns: Span, heads: Sequence[int] | None = None) -> Tensor:
        """Weights of queries ``rows`` × keys ``columns``, each (first, behind the last): (B, h, t, s), float32 at
        least.

        Exact, and the rest of the map is not held: the log-normalisers are computed once, in memory that grows with the
        length, and a rectangle costs what it covers. (Other normalisers than softmax compute the rows it touches.)

        Raises:
            ConfigurationError: a span or a head lies outside of the map.
        """
        known = self.summary.log_normalizer if self.normalize == "softmax" else None
        with torch.no_grad():
            return weights_tile(self.problem(), rows, columns, heads, known)

    def scores_tile(self, rows: Span, columns: Span, heads: Sequence[int] | None = None) -> Tensor:
        """Scaled scores before the mask of a rectangle (B, h, t, s), float32 at least."""
        with torch.no_grad():
            return raw_scores(self.problem(), rows, columns, heads)

    def after(self, earlier: AttentionRecord | None) -> AttentionRecord:
        """This call behind ``earlier`` ones of a recurrence, which looked at the very same keys with other queries."""
        if earlier is None or earlier.k.data_ptr() != self.k.data_ptr() or earlier.k.shape != self.k.shape:
            return self
        q, mixed = torch.cat((earlier.q, self.q), dim=2), torch.cat((earlier.mixed, self.mixed), dim=2)
        return replace(self, q=q, mixed=mixed)

    def additions(self, heads: Sequence[int] | None = None) -> Tensor:
        """What each head adds to the residual stream (B, h, T, W); over all heads, with W_o's bias, ``addition``."""
        chosen = checked_heads(heads, self.heads)
        return self.mixed[:, chosen] @ value_up(self.output, self.heads)[chosen]

    def addition(self) -> Tensor:
        """What all heads together add, W_o's bias included (B, T, W): the output of this attention."""
        added: Tensor = self.output(self.mixed.transpose(1, 2).flatten(2))
        return added
