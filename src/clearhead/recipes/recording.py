"""What of the heads a training run keeps at its validations, to be played back: ``[recording]`` of a recipe.

Nothing of it changes a number of the run, so it may be added, changed or left out when a run is resumed.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from clearhead.settings import Settings

Text = Annotated[str, Field(min_length=1, max_length=4096)]


class RecordingSettings(Settings):
    """What is recorded, and how much of it at most.

    Attributes:
        sentences: inputs whose maps are kept; of a translation a tab may be followed by the target to look at, else it
            is the model's own translation of the moment.
        examples: where there are no ``sentences``, so many of the first validation examples with their answers.
        measures: keep entropy, distance and peak of every head, as means over ``measured`` validation examples.
        measured: see ``measures``.
        longest: a map keeps at most so many queries and keys, the first.
        most: a run records at most so many times, at even distances, and always at its last validation.
    """

    sentences: Annotated[tuple[Text, ...], Field(max_length=16, strict=False)] = ()
    examples: Annotated[int, Field(ge=0, le=16)] = 3
    measures: bool = True
    measured: Annotated[int, Field(ge=1, le=1024)] = 16
    longest: Annotated[int, Field(ge=1, le=512)] = 64
    most: Annotated[int, Field(ge=1, le=10_000)] = 200
