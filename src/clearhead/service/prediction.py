"""What comes out for one input: the best text, and every alternative with its pieces and their probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from clearhead.generation.hypothesis import Hypothesis
from clearhead.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Alternative:
    """One output. ``token_log_probabilities`` has an entry for each piece and, when ``finished``, one for the end."""

    text: str
    score: float
    log_probability: float
    pieces: tuple[str, ...]
    token_log_probabilities: tuple[float, ...]
    finished: bool

    @classmethod
    def of(cls, hypothesis: Hypothesis, tokenizer: Tokenizer) -> Alternative:
        """A hypothesis as text."""
        return cls(
            text=tokenizer.decode([hypothesis.tokens])[0],
            score=hypothesis.score,
            log_probability=hypothesis.log_probability,
            pieces=tuple(tokenizer.pieces(hypothesis.tokens)),
            token_log_probabilities=hypothesis.token_log_probabilities,
            finished=hypothesis.finished,
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "text": self.text,
            "score": self.score,
            "log_probability": self.log_probability,
            "pieces": list(self.pieces),
            "token_log_probabilities": list(self.token_log_probabilities),
            "finished": self.finished,
        }


@dataclass(frozen=True)
class Prediction:
    """The answer to one input, best alternative first. ``cut`` says that the input was too long and lost its end."""

    input: str
    alternatives: tuple[Alternative, ...]
    cut: bool = False

    @property
    def text(self) -> str:
        """The best text."""
        return self.alternatives[0].text

    @property
    def score(self) -> float:
        """Its length-normalised log-probability."""
        return self.alternatives[0].score

    def __str__(self) -> str:
        return self.text

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON: the best alternative's own keys, then ``n_best``."""
        best = self.alternatives[0].as_dict()
        return {"input": self.input, **best, "cut": self.cut, "n_best": [each.as_dict() for each in self.alternatives]}


BLANK = Alternative("", 0.0, 0.0, (), (), finished=True)
