"""What generation asks of a model, declared by the consumer: begin, advance, and a state that can follow the search.

Any object with these methods can be searched; nothing here knows layers, attention or tokenizers.

Legend: B sentences, C hypotheses a sentence, S source tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from torch import Tensor


class State(Protocol):
    """All a model remembers between two steps: caches for B sentences of C hypotheses."""

    def reorder(self, parents: Tensor) -> None:
        """Hypothesis c of sentence b goes on from what was hypothesis ``parents[b, c]``; ``parents`` (B, C') int64.

        C' may differ from the C so far: a search begins with one hypothesis and widens.
        """

    def keep(self, sentences: Tensor) -> None:
        """Forget all sentences but these; ``sentences`` (B',) int64, increasing."""


AnyState = TypeVar("AnyState", bound=State)


class Decodable(Protocol[AnyState]):
    """A conditional language model that can be fed one token a hypothesis at a time."""

    def begin(self, source: Tensor, mask: Tensor, *, beam: int, max_length: int) -> AnyState:
        """Read ``source`` (B, S) int64 where ``mask`` (B, S) is True; make ready for C = ``beam`` hypotheses.

        At most ``max_length`` tokens will be fed to each.
        """

    def advance(self, tokens: Tensor, state: AnyState) -> Tensor:
        """Feed ``tokens`` (B, C) int64; logits (B, C, V) of the next in a fresh tensor, which the caller may change."""
