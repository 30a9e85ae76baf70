"""Who may look at whom in the self-attention of one stack: what the configuration says, and what the batch says."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from clearhead.errors import ShapeError
from clearhead.mechanism import masks
from clearhead.mechanism.masks import Mask, as_mask

PADDING = 0  # the house's number of a position where no token is


@dataclass(frozen=True, slots=True)
class Sight:
    """``causal``: not ahead; ``window``: at most so many places to each side; ``without_self``: not at oneself."""

    causal: bool = False
    window: int | None = None
    without_self: bool = False

    def whole(self, *others: Mask | None) -> Mask | None:
        """Over a whole sequence, and what ``others`` allow besides; None where everything may be seen."""
        found = [
            masks.causal() if self.causal else None,
            None if self.window is None else masks.window(self.window, self.window),
            masks.not_self() if self.without_self else None,
            *others,
        ]
        mask: Mask | None = None
        for one in found:
            mask = one if mask is None else mask if one is None else mask & one
        return mask

    def newest(self, start: int, count: int, device: torch.device) -> Mask | None:
        """What ``whole`` says in ``count`` rows from ``start`` on, over the keys up to the last of them."""
        if count == 1 and self.window is None and not self.without_self:
            return None
        i = torch.arange(start, start + count, device=device)[:, None]
        j = torch.arange(start + count, device=device)[None, :]
        allowed = j <= i
        allowed = allowed if self.window is None else allowed & (j >= i - self.window)
        return as_mask(allowed & (j != i) if self.without_self else allowed)


def real_positions(mask: Tensor | None, like: Tensor) -> Tensor | None:
    """A padding mask (B, S), True = real; nothing when every position is real.

    Raises:
        ShapeError: it is not boolean, or not of the shape of ``like``'s first two dimensions.
    """
    if mask is None:
        return None
    if mask.dtype != torch.bool or mask.shape != like.shape[:2]:
        raise ShapeError(
            f"mask must be boolean of shape {tuple(like.shape[:2])}, True = real token, "
            f"got {mask.dtype} {tuple(mask.shape)}"
        )
    return None if bool(mask.all()) else mask


def places_among(real: Tensor) -> Tensor:
    """Where each position stands when only the real ones of (B, S) count: (B, S) int64, from 0."""
    return (real.long().cumsum(1) - 1).clamp(min=0)


def keys_of(real: Tensor | None) -> Mask | None:
    """Real positions (B, S) as a mask over keys."""
    return None if real is None else as_mask(real[:, None, None, :])


def check_ids(name: str, ids: Tensor, vocabulary: int) -> None:
    """Refuse anything but (B, T) int64 with entries below the vocabulary size."""
    if ids.dim() != 2 or ids.dtype != torch.int64:
        raise ShapeError(f"{name} must be int64 of shape (B, T), got {ids.dtype} {tuple(ids.shape)}")
    if ids.numel() and ids.device.type == "cpu":
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= vocabulary:
            raise ShapeError(f"{name} must lie in 0 … {vocabulary - 1} (the vocabulary), got {low} … {high}")
