"""What the page may ask for, and within which bounds."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Query
from pydantic import Field

from clearhead.service.looking.maps import MEAN
from clearhead.service.looking.request import LONGEST_TEXT, MOST_TOKENS, WIDEST_BEAM, Asked
from clearhead.settings import Settings

SMALLEST, LARGEST = 8, 128  # cells a side of a small map
DEEPEST = 12  # levels of pooling
MOST_HEADS = 4096

Name = Annotated[str, Field(max_length=200)]
Key = Annotated[str, Path(pattern="^[0-9a-f]{24}$")]
Attention = Annotated[str, Query(max_length=200)]
Head = Annotated[int, Query(ge=MEAN, le=MOST_HEADS)]
Place = Annotated[int, Query(ge=0, le=1 << 24)]
Level = Annotated[int, Query(ge=0, le=DEEPEST)]
Size = Annotated[int, Query(ge=SMALLEST, le=LARGEST)]
Heads = Annotated[list[Annotated[int, Field(ge=0, le=MOST_HEADS)]], Field(max_length=MOST_HEADS)]


class Question(Settings):
    """One input to look at; see ``service.looking.request.Asked``."""

    model: Name
    text: Annotated[str, Field(max_length=LONGEST_TEXT)]
    target: Annotated[str, Field(max_length=LONGEST_TEXT)] | None = None
    silenced: Annotated[dict[Name, Heads], Field(max_length=MOST_HEADS, default_factory=dict)]
    beam: Annotated[int, Field(ge=1, le=WIDEST_BEAM)] | None = None
    tokens: Annotated[int, Field(ge=0, le=MOST_TOKENS)] = 24

    def asked(self) -> Asked:
        """The same for the service."""
        silenced = {name: tuple(heads) for name, heads in self.silenced.items() if heads}
        return Asked(self.model, self.text, self.target, silenced, self.beam, self.tokens)
