"""How an output is searched for: small frozen values, checked before any model is asked.

It knows nothing of models, tokenizers or files; ``generation.batches`` and ``generation.prompts`` read them, recipes
and command lines fill them in.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

Count = Annotated[int, Field(ge=0, le=1 << 20)]
Positive = Annotated[int, Field(ge=1, le=1 << 20)]
BeamRule = Literal["gnmt", "steady", "first", "patient"]
Temperature = Annotated[float, Field(ge=1e-6, le=1e6)]


class SearchSettings(Settings):
    """Beam search by default; ``beam = 1`` is greedy; ``sample = true`` draws ``n_best`` independent samples instead.

    ``length_penalty`` is alpha in score = log p / ((5 + length) / 6) ** alpha, length counting the end symbol
    (equation 14 of arXiv 1609.08144). ``max_length`` is the most tokens of an output, end symbol included.
    ``beam_rule`` "gnmt" lets an ended hypothesis take its place in the beam along. "steady", the rule of the library
    transformers, keeps the beam as wide as it began, scores by log p / length ** alpha, and ends a sentence when no
    live hypothesis has now a better score than the worst of ``beam`` ended ones; "first" as soon as ``beam`` have
    ended (its ``early_stopping=True``), "patient" when none could have a better one at ``max_length`` ("never").
    ``no_repeat_ngram`` forbids any n-gram of that many tokens to come twice in a text (0 = none); ``end_at_limit``
    makes the last token that there is room for the end symbol, at no cost.
    ``temperature``, ``top_k`` (0 = all) and ``top_p`` (1 = all) shape sampling only; ``beam`` is not used by it.
    ``seed = None`` draws a new seed each call. ``batch_tokens`` bounds rows x hypotheses x longest input of one batch,
    and so memory; it changes no result.
    """

    beam: Annotated[int, Field(ge=1, le=4096)] = 5
    length_penalty: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0
    beam_rule: BeamRule = "gnmt"
    max_length: Positive = 256
    min_length: Count = 0
    no_repeat_ngram: Count = 0
    end_at_limit: bool = False
    n_best: Annotated[int, Field(ge=1, le=4096)] = 1
    sample: bool = False
    temperature: Temperature = 1.0
    top_k: Count = 0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None
    batch_tokens: Positive = 4096

    @property
    def width(self) -> int:
        """K, hypotheses that are alive side by side for one input."""
        return self.n_best if self.sample else self.beam

    @property
    def competing(self) -> bool:
        """Whether hypotheses of one input drive each other out."""
        return not self.sample and self.beam > 1

    @property
    def steady(self) -> bool:
        """Whether the search is a beam that keeps its width."""
        return self.beam_rule != "gnmt" and not self.sample

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.sample and self.n_best > self.beam:
            raise ValueError(f"n_best {self.n_best} results cannot come out of a beam of {self.beam}: widen beam")
        if self.min_length > self.max_length:
            raise ValueError(f"min_length {self.min_length} is above max_length {self.max_length}")
        return self


class DecodingSettings(SearchSettings):
    """How target sentences are searched for.

    A sentence of s source tokens gets at most ``min(max_length, ceil(max_ratio * s) + max_extra)`` target tokens, end
    symbol included, but always enough for ``min_length`` of them before the end symbol if ``max_length`` allows.
    """

    max_ratio: Annotated[float, Field(ge=0.0, le=1000.0)] = 3.0
    max_extra: Count = 10

    def limit(self, source_tokens: int) -> int:
        """The most target tokens, end symbol included, for a source of ``source_tokens`` tokens without specials."""
        wanted = max(math.ceil(self.max_ratio * source_tokens) + self.max_extra, self.min_length + 1)
        return min(self.max_length, wanted)


class ContinuationSettings(SearchSettings):
    """How a text is continued: drawn by default, and ``max_length`` tokens longer than the prompt at most.

    A language model's most probable continuation tends to repeat itself (section 3 of arXiv 1904.09751), which is why
    drawing, a little sharpened, is the default here and not in ``DecodingSettings``.
    """

    beam: Annotated[int, Field(ge=1, le=4096)] = 1
    sample: bool = True
    temperature: Temperature = 0.8
    max_length: Positive = 200
