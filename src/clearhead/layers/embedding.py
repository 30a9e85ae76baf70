"""From the input to the residual stream: one row of the embedding matrix a token, plus where it stands.

Sinusoidal positions are section 3.5 of arXiv 1706.03762; learned ones are a second matrix; those that act inside
attention are ``mechanism.positions``'. Embeddings are scaled by √W so that tied matrices serve as output weights too
(section 3.4), or by another number; a segment may have a row of its own, and the sum may be normalised (BERT,
arXiv 1810.04805). A word may bring the character n-grams it is spelled with (arXiv 1607.04606); input that is vectors
already is put through one linear map.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from clearhead.errors import ShapeError
from clearhead.layers.dropout import Dropout
from clearhead.mechanism.dropout import present_generator

UNKNOWN = 1  # the house's number of an unknown token; 0 is padding


class SinusoidalPositions(nn.Module):
    """PE(p, 2i) = sin(p / 10000^(2i/W)), PE(p, 2i+1) = cos of the same; nothing is learned."""

    table: Tensor

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()
        self.register_buffer("table", sinusoids(positions, width), persistent=False)

    def forward(self, start: int, count: int) -> Tensor:
        return self.table[start : start + count]

    def rows(self, places: Tensor) -> Tensor:
        """For places (B, T) int64: (B, T, W)."""
        return self.table[places]


class SinusoidalHalves(SinusoidalPositions):
    """The same numbers with all sines in front of all cosines, the layout of Marian."""

    def __init__(self, positions: int, width: int) -> None:
        nn.Module.__init__(self)
        table = sinusoids(positions, width)
        self.register_buffer("table", torch.cat((table[:, 0::2], table[:, 1::2]), dim=1), persistent=False)


class LearnedPositions(nn.Module):
    """A trainable row for each position; ``first`` rows in front of them belong to none."""

    def __init__(self, positions: int, width: int, first: int = 0) -> None:
        super().__init__()
        self.first = first
        self.weight = nn.Parameter(torch.empty(first + positions, width))

    def forward(self, start: int, count: int) -> Tensor:
        return self.weight[self.first + start : self.first + start + count]

    def rows(self, places: Tensor) -> Tensor:
        """For places (B, T) int64: (B, T, W)."""
        return nn.functional.embedding(places + self.first, self.weight)


class NoPositions(nn.Module):
    """Order is left to attention: to its masks or to what ``mechanism.positions`` does; or there is none."""

    def __init__(self, positions: int, width: int) -> None:
        super().__init__()

    def forward(self, start: int, count: int) -> float:
        return 0.0

    def rows(self, places: Tensor) -> float:
        """Nothing, wherever."""
        return 0.0


class RuledPositions(nn.Module):
    """A user's own rule, places (n,) int64 → rows (n, W), asked once for all places there can be."""

    table: Tensor

    def __init__(self, positions: int, width: int, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        table = rule(torch.arange(positions))
        if tuple(table.shape) != (positions, width):
            raise ShapeError(
                f"the rule for positions must give (n, W) = {(positions, width)}, got {tuple(table.shape)}"
            )
        self.register_buffer("table", table.detach(), persistent=False)

    def forward(self, start: int, count: int) -> Tensor:
        return self.table[start : start + count]

    def rows(self, places: Tensor) -> Tensor:
        """For places (B, T) int64: (B, T, W)."""
        return self.table[places]


POSITIONS: dict[str, type[nn.Module]] = {
    "sinusoidal": SinusoidalPositions,
    "sinusoidal_halves": SinusoidalHalves,
    "learned": LearnedPositions,
    "none": NoPositions,
}


@dataclass(frozen=True, slots=True, eq=False)
class Additions:
    """What joins a token's row: the rows of n-grams and of segments; and the norm of the sum. None for none."""

    spelling: Spelling | None = None
    segments: nn.Embedding | None = None
    norm: nn.Module | None = None


class Embedding(nn.Module):
    """ids (B, T) int64 → (B, T, W). ``tokens`` is handed in so that it can be shared (tied).

    ``scale`` multiplies its rows; √W when not given. ``spelling`` gives every word the mean of its n-grams' rows on
    top. With ``token_dropout`` a token is taken for an unknown one with that probability in training; its n-grams stay,
    so that the model learns to go by them.
    """

    def __init__(
        self,
        tokens: nn.Embedding,
        positions: nn.Module,
        limit: int,
        dropout: float,
        token_dropout: float = 0.0,
        additions: Additions | None = None,
        scale: float | None = None,
    ) -> None:
        super().__init__()
        additions = additions or Additions()
        self.tokens = tokens
        self.positions = positions
        self.limit = limit
        self.scale = math.sqrt(tokens.embedding_dim) if scale is None else scale
        self.dropout = Dropout(dropout)
        self.token_dropout = token_dropout
        self.spelling = additions.spelling
        self.segments = additions.segments
        self.norm = additions.norm

    def forward(
        self,
        ids: Tensor,
        start: int = 0,
        *,
        places: Tensor | None = None,
        ngrams: Tensor | None = None,
        segments: Tensor | None = None,
    ) -> Tensor:
        """The first token stands at ``start``, or each where ``places`` (B, T) says; ``ngrams`` is (B, T, N) int64;
        ``segments`` (B, T) int64 numbers each token's segment, all 0 when not given.

        Raises:
            ShapeError: more positions than there are, or n-grams or segments that do not fit.
        """
        check_room(start + ids.shape[-1], self.limit)
        where = self.positions(start, ids.shape[-1]) if places is None else self.positions.rows(places)  # type: ignore[operator]
        x = self.tokens(self._some_unknown(ids))
        if self.spelling is not None:
            x = x + self.spelling(ids, ngrams)
        y: Tensor = x * self.scale + where
        y = y if self.segments is None and segments is None else y + self._of_segments(ids, segments)
        y = y if self.norm is None else self.norm(y)
        dropped: Tensor = self.dropout(y)
        return dropped

    def _of_segments(self, ids: Tensor, segments: Tensor | None) -> Tensor:
        if self.segments is None:
            raise ShapeError("this model has no segments (input.segments is 0), but segments were given")
        if segments is None:
            return self.segments.weight[0]
        if segments.shape != ids.shape or segments.dtype != torch.int64:
            raise ShapeError(
                f"segments must be int64 of shape {tuple(ids.shape)}, one number a token, "
                f"got {segments.dtype} {tuple(segments.shape)}"
            )
        count = self.segments.num_embeddings
        if segments.numel() and segments.device.type == "cpu" and not 0 <= segments.min() <= segments.max() < count:
            low, high = int(segments.min()), int(segments.max())
            raise ShapeError(f"segments must lie in 0 … {count - 1} (input.segments), got {low} … {high}")
        rows: Tensor = self.segments(segments)
        return rows

    def _some_unknown(self, ids: Tensor) -> Tensor:
        if not (self.training and self.token_dropout):
            return ids
        draws = torch.empty(ids.shape, device=ids.device).uniform_(generator=present_generator())
        return ids.masked_fill((draws < self.token_dropout) & (ids > UNKNOWN), UNKNOWN)


class Spelling(nn.Module):
    """The mean of the rows of a word's hashed n-grams: (B, T, N) int64 → (B, T, W); number 0 is none."""

    def __init__(self, buckets: int, width: int) -> None:
        super().__init__()
        self.rows = nn.EmbeddingBag(buckets, width, mode="mean", padding_idx=0)

    def forward(self, ids: Tensor, ngrams: Tensor | None) -> Tensor:
        if ngrams is None or ngrams.dim() != 3 or ngrams.shape[:2] != ids.shape or ngrams.dtype != torch.int64:
            got = "none" if ngrams is None else f"{ngrams.dtype} {tuple(ngrams.shape)}"
            raise ShapeError(f"this model needs ngrams (B, T, N) int64 for ids {tuple(ids.shape)}, got {got}")
        mean: Tensor = self.rows(ngrams.flatten(0, 1))
        return mean.view(*ids.shape, -1)


class Vectors(nn.Module):
    """Vectors (B, T, F) that are the input already → (B, T, W) by one linear map, plus where each stands."""

    def __init__(self, features: int, width: int, positions: nn.Module, limit: int, dropout: float) -> None:
        super().__init__()
        self.into = nn.Linear(features, width)
        self.positions = positions
        self.limit = limit
        self.dropout = Dropout(dropout)

    def forward(self, vectors: Tensor) -> Tensor:
        check_room(vectors.shape[1], self.limit)
        y: Tensor = self.dropout(self.into(vectors) + self.positions(0, vectors.shape[1]))
        return y


def check_room(needed: int, limit: int) -> None:
    """Refuse an input that is longer than the model has positions."""
    if needed > limit:
        raise ShapeError(f"the model has {limit} positions (max_positions), the input needs {needed}")


def sinusoids(positions: int, width: int) -> Tensor:
    """The table (positions, W) of sines in even and cosines in odd columns, computed in float64."""
    frequency = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
    angle = torch.arange(positions, dtype=torch.float64)[:, None] * frequency
    table = torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)
    return table[:, :width].to(torch.get_default_dtype())
