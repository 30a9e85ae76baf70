"""What requests and answers look like, for the check of the one and the document of both."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from clearhead.inspection.inspection import MAX_FULL
from clearhead.settings import Settings

WIDEST = 16

Index = Annotated[int, Field(ge=0, le=4095)]
Part = Literal["weights", "scores", "q", "k", "v", "mixed", "additions", "residual", "logits"]
Text = Annotated[str, Field(description="A text.")]
Words = Annotated[list[str], Field(description="A sentence as its words, for a tagger.")]
Vectors = Annotated[list[list[float]], Field(description="A sequence of vectors, for a model of vectors.")]


class Decoding(Settings):
    """How answers that are written are searched for; what is not given is as in the run's recipe."""

    beam: Annotated[int, Field(ge=1, le=WIDEST, description="Hypotheses a text; 1 is greedy.")] | None = None
    n_best: Annotated[int, Field(ge=1, le=WIDEST, description="Alternatives a text.")] | None = None
    length_penalty: Annotated[float, Field(ge=0, le=10)] | None = None
    max_length: Annotated[int, Field(ge=1, le=4096, description="Tokens an answer, at most.")] | None = None
    min_length: Annotated[int, Field(ge=0, le=4096)] | None = None
    no_repeat_ngram: Annotated[int, Field(ge=0, le=4096)] | None = None
    sample: Annotated[bool, Field(description="Draw instead of search.")] | None = None
    temperature: Annotated[float, Field(ge=1e-3, le=1e3)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1 << 20)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None

    def given(self) -> dict[str, Any]:
        """Only what was asked for."""
        return self.model_dump(exclude_none=True)


class PredictRequest(Settings):
    """Inputs to be answered, in their order."""

    inputs: Annotated[list[Text | Words | Vectors], Field(min_length=1)]
    decoding: Decoding = Decoding()
    stream: Annotated[bool, Field(description="Answer as server-sent events while it is written.")] = False


class InspectRequest(Settings):
    """One input to be looked at."""

    input: Text | Words | Vectors
    target: (
        Annotated[str, Field(description="The answer to look at; the model's own where it is not given.")] | None
    ) = None
    layers: Annotated[list[Index], Field(min_length=1, max_length=256)] | None = None
    heads: Annotated[list[Index], Field(min_length=1, max_length=256)] | None = None
    max_full: Annotated[int, Field(ge=0, le=4096, description="Longer maps are given as summaries.")] = MAX_FULL
    parts: Annotated[list[Part], Field(min_length=1, max_length=9, default_factory=lambda: ["weights"])]


class Answered(BaseModel):
    """One answer: its line is ``text``; what stands beside it depends on the task."""

    model_config = ConfigDict(extra="allow")

    text: str


class PredictResponse(BaseModel):
    """As many results as inputs, in the same order."""

    model: str
    results: list[Answered]


class ModelCard(BaseModel):
    """One model that is served."""

    name: str
    task: str
    architecture: str
    parameters: int
    longest: Annotated[int, Field(description="The most pieces, words or vectors of an input that are read.")]
    writes: Annotated[bool, Field(description="Whether answers are written token by token, and can be streamed.")]


class ModelList(BaseModel):
    """All of them."""

    models: list[ModelCard]


class Health(BaseModel):
    """``live``, ``ready`` or ``stopping``."""

    status: str


class Problem(BaseModel):
    """What went wrong, and a word a program can look at."""

    code: str
    message: str


class ErrorResponse(BaseModel):
    """Every answer that is none."""

    error: Problem
