"""What a recipe may say about low-rank adapters; knows no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from clearhead.settings import Settings

Target = Literal["query", "key", "value", "output", "feedforward"]


class LoraSettings(Settings):
    """Low-rank adapters beside the projections of every block (Hu et al. 2021, arXiv 2106.09685).

    ``targets`` are projections of every attention, self and cross, and "feedforward", all matrices of the feed-forward
    networks. Each gets a product of two matrices through ``rank`` numbers, times ``alpha`` / ``rank``; ``dropout`` is
    on what enters it.
    """

    rank: Annotated[int, Field(ge=1, le=1024)] = 8
    alpha: Annotated[float, Field(gt=0, le=1e4)] = 16.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    targets: Annotated[tuple[Target, ...], Field(min_length=1, strict=False)] = ("query", "key", "value", "output")

    @property
    def scale(self) -> float:
        """The factor α / r of the product."""
        return self.alpha / self.rank

    @field_validator("targets")
    @classmethod
    def _each_once(cls, targets: tuple[Target, ...]) -> tuple[Target, ...]:
        if len(set(targets)) != len(targets):
            raise ValueError(f"expected each target once, got {', '.join(targets)}")
        return targets
