"""What a recipe may say about words that come as words, one by one, rather than as running text.

It knows neither files nor models.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

_OF_WORDS = ("vocabulary", "min_frequency", "lowercase", "buckets", "shortest", "longest")


class WordInput(Settings):
    """How a model reads a word: whole, or in pieces.

    With ``kind`` "words" a word is one position: the vector of its vocabulary entry plus the mean of its characters'
    n-grams' vectors. The vocabulary holds words seen at least ``min_frequency`` times in training, at most
    ``vocabulary`` of them; every other word is unknown there and lives by its n-grams, of ``shortest`` to ``longest``
    characters with the word's ends marked (Bojanowski et al. 2017, arXiv 1607.04606). They are hashed into ``buckets``,
    0 for none. ``lowercase`` is about the vocabulary; n-grams see words as they are written.

    With "pieces" a word is cut by the recipe's ``tokenizer``, and nothing else is to be said here.
    """

    kind: Literal["words", "pieces"] = "words"
    vocabulary: Annotated[int, Field(ge=1, le=1 << 19)] = 50_000
    min_frequency: Annotated[int, Field(ge=1)] = 2
    lowercase: bool = True
    buckets: Annotated[int, Field(ge=0, le=1 << 24)] = 20_000
    shortest: Annotated[int, Field(ge=1, le=16)] = 1
    longest: Annotated[int, Field(ge=1, le=16)] = 5

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(
                f"n-grams of {self.shortest} to {self.longest} characters: shortest must not exceed longest"
            )
        if self.buckets == 1:
            raise ValueError("buckets = 1 would make all n-grams the same: give more, or 0 for no n-grams")
        if self.kind == "pieces":
            for name in _OF_WORDS:
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f'{name} is about whole words, but kind = "pieces": leave it out')
        return self
