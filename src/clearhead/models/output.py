"""What models share above their stacks: the output matrix, and an encoder-decoder's way from ids to logits.

Training and generation know a model by these names, whatever its stacks are made of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from clearhead.errors import ShapeError


class WithOutput(nn.Module):
    """A model that ends in one linear map, ``output``."""

    output: nn.Linear

    @property
    def output_weight(self) -> Tensor:
        """The output matrix (V, W), or (C, W) over classes; the target embedding itself when tied."""
        return self.output.weight

    @property
    def output_bias(self) -> Tensor | None:
        """The output bias (V,), where there is one."""
        return self.output.bias

    @staticmethod
    def scaled(states: Tensor, scale: float) -> Tensor:
        """The last states as the output matrix reads them."""
        return states if scale == 1.0 else states * scale


class SourceToTarget(WithOutput, ABC):
    """Source ids (B, S) and target ids (B, T) in, target logits out; a mask is bool (B, S), True = real token."""

    @abstractmethod
    def states(self, ids: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The encoder's last layer: (B, S) → (B, S, W)."""

    @abstractmethod
    def decode(self, target: Tensor, states: Tensor, mask: Tensor | None = None) -> Tensor:
        """Teacher forcing: target (B, T) over encoder states (B, S, W) → decoder states (B, T, W)."""

    def hidden(self, source: Tensor, target: Tensor, *, mask: Tensor | None = None) -> Tensor:
        """The decoder's states before the output matrix: (B, T, W)."""
        return self.decode(target, self.states(source, mask=mask), mask)

    def logits(self, ids: Tensor, target_ids: Tensor | None = None, *, mask: Tensor | None = None) -> Tensor:
        """Scores of every vocabulary entry at every target position: (B, T, V)."""
        if target_ids is None:
            raise ShapeError("an encoder-decoder model needs target_ids (B, T), beginning with the start symbol")
        logits: Tensor = self.output(self.hidden(ids, target_ids, mask=mask))
        return logits

    forward = logits
