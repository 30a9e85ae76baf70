"""A tiny model to search: logits are a random function of the source and of the whole prefix, with a cache to mistreat.

Each hypothesis carries a recurrent vector (float64, so that its chaos does not reach the digits that are compared); if
the search reorders or drops the wrong rows, its logits change.
"""

from __future__ import annotations

import torch
from torch import Tensor

WIDTH = 7


class TableState:
    def __init__(self, vectors: Tensor) -> None:
        self.vectors = vectors  # (B, C, WIDTH)
        self.reorders = 0
        self.rows: list[int] = []

    def reorder(self, parents: Tensor) -> None:
        assert parents.shape[0] == self.vectors.shape[0] and int(parents.max()) < self.vectors.shape[1]
        self.reorders += 1
        self.vectors = self.vectors.gather(1, parents[:, :, None].expand(-1, -1, WIDTH))

    def keep(self, sentences: Tensor) -> None:
        self.vectors = self.vectors[sentences]


class TableModel:
    def __init__(self, vocabulary: int, *, seed: int = 0, sharpness: float = 2.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.inputs = torch.randn(vocabulary, WIDTH, generator=generator, dtype=torch.float64)
        self.recurrence = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
        self.outputs = torch.randn(WIDTH, vocabulary, generator=generator, dtype=torch.float64) * sharpness
        self.states: list[TableState] = []

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> TableState:
        assert mask.shape == source.shape
        vectors = (self.inputs[source] * mask[:, :, None]).sum(1)
        self.states.append(TableState(vectors[:, None].repeat(1, beam, 1)))
        return self.states[-1]

    def advance(self, tokens: Tensor, state: TableState) -> Tensor:
        assert tokens.shape == state.vectors.shape[:2]
        state.rows.append(tokens.shape[0])
        state.vectors = torch.tanh(state.vectors @ self.recurrence + self.inputs[tokens])
        return (state.vectors @ self.outputs).float()


class BigramState:
    def reorder(self, parents: Tensor) -> None:
        """A bigram remembers nothing."""

    def keep(self, sentences: Tensor) -> None:
        """A bigram remembers nothing."""


class BigramModel:
    """The next token depends on the last one alone: p(next | last) = ``table[last][next]``, the same for any source.

    What the table leaves out is all but impossible, the less the higher its number, so that nothing is equal.
    """

    def __init__(self, table: dict[int, dict[int, float]], vocabulary: int) -> None:
        probabilities = 1e-30 / (1.0 + torch.arange(vocabulary)).expand(vocabulary, vocabulary).clone()
        for last, following in table.items():
            for token, probability in following.items():
                probabilities[last, token] = probability
        self.logits = probabilities.log()

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> BigramState:
        return BigramState()

    def advance(self, tokens: Tensor, state: BigramState) -> Tensor:
        return self.logits[tokens]
