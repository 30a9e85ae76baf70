"""What a recipe may say about holding out a part of its training pairs."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

Share = Annotated[float, Field(ge=0.0, lt=1.0)]


class PairSplit(Settings):
    """Which shares of the training pairs are held out, chosen by ``seed``, no sentence standing in two parts."""

    valid: Share = 0.0
    test: Share = 0.0
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 1

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not 0 < self.valid + self.test < 1:
            raise ValueError(
                f"valid = {self.valid} and test = {self.test} must leave some pairs to train on and some to hold out"
            )
        return self
