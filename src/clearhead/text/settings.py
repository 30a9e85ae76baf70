"""What a recipe may say about cutting text into tokens. It knows neither files nor models."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

Kind = Literal["bpe", "unigram", "characters", "words", "bytes"]

SPECIALS = 4
BYTES = 256


class TokenizerSettings(Settings):
    """How text becomes tokens.

    ``kind``: byte-pair encoding (Sennrich et al. 2016, arXiv 1508.07909), unigram language model (Kudo 2018, arXiv
    1804.10959), single characters, whole words, or the bytes of UTF-8, of which nothing needs to be learnt.
    ``vocabulary`` is an upper bound that includes the four special pieces and, with ``byte_fallback``, the 256 bytes
    into which characters outside the vocabulary are cut, so that no text is ever unknown. ``subword_dropout`` is
    BPE-dropout (Provilkov et al. 2020, arXiv 1910.13267), of the training side only; ``subword_samples``
    segmentations are stored, and epoch e reads number e modulo that, which is how a random segmentation stays
    exactly resumable.
    """

    kind: Kind = "bpe"
    vocabulary: Annotated[int, Field(ge=SPECIALS + 1, le=1 << 20)] = 8000
    shared: bool = True
    byte_fallback: bool = True
    lowercase: bool = False
    min_frequency: Annotated[int, Field(ge=1)] = 2
    subword_dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    subword_samples: Annotated[int, Field(ge=1, le=1000)] = 1

    @property
    def has_bytes(self) -> bool:
        """Whether the vocabulary holds the 256 byte pieces: bytes, and subword kinds with ``byte_fallback``."""
        return self.kind == "bytes" or (self.byte_fallback and self.kind in ("bpe", "unigram"))

    @property
    def reserved(self) -> int:
        """How many entries of the vocabulary are taken before anything is learnt."""
        return SPECIALS + BYTES * self.has_bytes

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.kind == "bytes" and self.vocabulary < self.reserved:
            raise ValueError(
                f"vocabulary {self.vocabulary} has no room for {SPECIALS} special pieces and {BYTES} bytes"
            )
        if self.kind != "bytes" and self.vocabulary <= self.reserved:
            raise ValueError(
                f"vocabulary {self.vocabulary} leaves nothing to learn: {SPECIALS} special pieces and {BYTES} bytes "
                f"come first, so give at least {self.reserved + 1}, or byte_fallback = false"
            )
        if self.subword_dropout and self.kind != "bpe":
            raise ValueError(f'subword_dropout is a property of kind = "bpe", but kind is "{self.kind}"')
        if self.subword_samples > 1 and not self.subword_dropout:
            raise ValueError(
                f"subword_samples = {self.subword_samples} would store the same segmentation again and again: "
                "give subword_dropout above 0 with it"
            )
        return self
