"""Settings of a model that most models leave alone, in small tables: where families of published models differ.

Every default is what the paper's Transformer does (arXiv 1706.03762), so a recipe that names none of these tables is
the house's model. What a table may not be combined with is ``models.config``'s to say.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

Factor = Annotated[float, Field(gt=0, le=1e9)]
PlainActivation = Literal["relu", "gelu", "gelu_tanh", "silu"]
Count = Annotated[int, Field(ge=0, le=1 << 20)]


class BiasSettings(Settings):
    """Which linear maps add a bias: W_q, W_k and W_v together, W_o, the feed-forward network, the output matrix.

    ``output`` left out is the habit of the architecture: an encoder's output over classes has one, a vocabulary's none.
    """

    query_key_value: bool = True
    attention_output: bool = True
    feedforward: bool = True
    output: bool | None = None


class InputSettings(Settings):
    """How a token enters the stream.

    ``scale`` multiplies its row; √W when left out, 1.0 for none. ``norm`` normalises the sum of row, position and
    segment (BERT, BART). ``segments`` is the number of segments, "token types", which have a learned row each; 0 for
    none. ``first_position`` rows of the learned positions come before the first place and belong to nobody (2 in
    RoBERTa and BART). ``skip_padding`` counts places over real tokens only (RoBERTa), not over columns (BERT).
    """

    scale: Factor | None = None
    norm: bool = False
    segments: Count = 0
    first_position: Count = 0
    skip_padding: bool = False


class RotarySettings(Settings):
    """Angles of rotary positions: plane c of D/2 turns by ``base``^(−2c/D) a place, slowed down by ``scaling``.

    "linear" divides every frequency by ``factor`` (arXiv 2306.15595). "llama3" divides those whose wavelength is above
    ``original_positions`` / ``slow``, leaves those below ``original_positions`` / ``fast``, and blends in between.
    """

    base: Annotated[float, Field(gt=1, le=1e12)] = 10000.0
    scaling: Literal["none", "linear", "llama3"] = "none"
    factor: Annotated[float, Field(ge=1, le=1e6)] = 1.0
    slow: Factor = 1.0
    fast: Factor = 4.0
    original_positions: Annotated[int, Field(ge=1, le=1 << 30)] = 8192

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.scaling == "llama3" and self.slow >= self.fast:
            raise ValueError(f"slow must be below fast, got slow = {self.slow} and fast = {self.fast}")
        return self


class BucketSettings(Settings):
    """T5's relative positions: so many buckets of distances, and the distance from which all share the last one."""

    count: Annotated[int, Field(ge=4, le=1 << 16)] = 32
    farthest: Annotated[int, Field(ge=2, le=1 << 20)] = 128

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.farthest <= self.count // 2:
            raise ValueError(
                f"farthest must be above half of count, whose buckets hold one distance each, got farthest = "
                f"{self.farthest} and count = {self.count}"
            )
        return self


class HeadSettings(Settings):
    """What stands on the last states. ``scale`` multiplies what the output matrix reads (W^-1/2 in T5 when tied).

    ``kind`` is an encoder's: "classes", a linear map; "vocabulary", one more linear map with ``activation`` and norm,
    then a score for every entry of its own vocabulary (masked language modelling, BERT, arXiv 1810.04805); "none",
    states and what ``pooling`` makes of them, for embeddings.
    """

    kind: Literal["classes", "vocabulary", "none"] = "classes"
    activation: PlainActivation = "gelu"
    scale: Factor = 1.0
