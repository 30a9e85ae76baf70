"""What somebody wants to look at: a text, perhaps a given answer, heads switched off, a width of the beam.

A request has a name made from its content, so that the same question asked twice is answered from what was kept. It
knows nothing of HTTP; its limits are those of a picture somebody looks at, not of a model.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from clearhead.errors import ConfigurationError

LONGEST_TEXT = 65_536  # characters
WIDEST_BEAM = 16
MOST_TOKENS = 512  # of a continuation


@dataclass(frozen=True)
class Asked:
    """One input to look at.

    Attributes:
        model: the name under which the model is known.
        text: what it reads.
        target: the answer to look at, where a task writes one; the model's own when None.
        silenced: heads that are switched off, by attention.
        beam: hypotheses of the search, 1 for greedy; as the recipe says when None. Only for what searches.
        tokens: how far a text is continued, where a task continues texts.
    """

    model: str
    text: str
    target: str | None = None
    silenced: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    beam: int | None = None
    tokens: int = 24

    def __post_init__(self) -> None:
        if not self.text.strip():
            raise ConfigurationError("there is nothing to look at: the text is empty")
        for name, text in (("text", self.text), ("target", self.target or "")):
            if len(text) > LONGEST_TEXT:
                raise ConfigurationError(f"{name}: expected at most {LONGEST_TEXT} characters, got {len(text)}")
        for name, number, least, most in (
            ("beam", self.beam or 1, 1, WIDEST_BEAM),
            ("tokens", self.tokens, 0, MOST_TOKENS),
        ):
            if not least <= number <= most:
                raise ConfigurationError(f"{name}: expected a number from {least} to {most}, got {number}")

    @property
    def key(self) -> str:
        """A name for this request, the same for the same request."""
        silenced = {name: sorted(set(heads)) for name, heads in sorted(self.silenced.items()) if heads}
        plain = [self.model, self.text, self.target, silenced, self.beam, self.tokens]
        return hashlib.sha256(json.dumps(plain).encode()).hexdigest()[:24]
