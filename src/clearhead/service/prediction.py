"""What comes out for one input: the best text, and every alternative with its pieces and their probabilities."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from clearhead.tasks.translation import Translated


@dataclass(frozen=True)
class Prediction:
    """The answer to one input, best alternative first. As a string it is the best text."""

    input: str
    alternatives: tuple[Translated, ...]

    @property
    def text(self) -> str:
        """The best text."""
        return self.alternatives[0].text

    @property
    def score(self) -> float:
        """Its length-normalised log-probability."""
        return self.alternatives[0].score

    @property
    def truncated(self) -> bool:
        """Whether the input was longer than the model reads, and lost its end."""
        return self.alternatives[0].truncated

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the best alternative's own keys, then ``n_best``, all of them."""
        tables = [dataclasses.asdict(each) for each in self.alternatives]
        return {"input": self.input, **tables[0], "n_best": tables}
