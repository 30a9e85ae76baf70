"""The numbers of the pieces that are no text: what pads, begins, ends and surrounds a sequence of tokens.

The house's own tokenizers have four of them, always the same (``HOUSE``). A model from elsewhere brings its own: some
have several ends, some begin to write with padding, some surround a text on both sides, some have no padding at all.
Plain numbers: it knows no pieces, no model and no search.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from clearhead.settings import Settings

Id = Annotated[int, Field(ge=0, lt=1 << 31)]
Ids = Annotated[tuple[Id, ...], Field(strict=False, max_length=1024)]  # JSON and TOML have lists only


class Symbols(Settings):
    """Which ids are special in one vocabulary, and where they belong.

    ``pad`` fills rows up and is masked wherever it stands. ``unknown`` is None in a vocabulary that can spell anything.
    ``before`` and ``after`` surround a text that is read whole. ``start`` is what a decoder is fed first, before
    anything is written; ``forced`` is what every output then begins with, at no cost. Any of ``ends`` ends an output;
    the ids of ``never`` are never written, those of ``silent`` not shown as text.
    """

    pad: Id = 0
    unknown: Id | None = 1
    before: Ids = ()
    after: Ids = (3,)
    start: Id = 2
    forced: Ids = ()
    ends: Ids = (3,)
    never: Ids = (0, 2)
    silent: Ids = (0, 2, 3)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if clash := set(self.forced) & {*self.never, *self.ends}:
            raise ValueError(f"forced: {min(clash)} begins every output, so it can neither end one nor be forbidden")
        return self

    @property
    def largest(self) -> int:
        """The largest id, for which a vocabulary must have room."""
        groups = (self.before, self.after, self.forced, self.ends, self.never, self.silent)
        return max(self.pad, self.unknown or 0, self.start, *(id for group in groups for id in group))

    @property
    def opening(self) -> tuple[int, ...]:
        """What stands behind the start in every output to learn from: what is forced, else what begins a text here."""
        return self.forced or self.before

    @property
    def closing(self) -> tuple[int, ...]:
        """What an output to learn from ends in: the first of the ends, or the start where there is none."""
        return self.ends[:1] or (self.start,)

    @property
    def framing(self) -> list[int]:
        """The ids that stand around a text and never inside one."""
        groups = (self.before, self.after, self.forced, self.ends, self.never)
        return sorted({self.pad, self.start, *(id for group in groups for id in group)})

    def after_reading(self, source: Symbols) -> Symbols:
        """These for what is written, with those of ``source``, another vocabulary's, for what is read."""
        return self.model_copy(update={"pad": source.pad, "before": source.before, "after": source.after})

    def surrounded(self, ids: Sequence[int]) -> list[int]:
        """A text's own ids as a model reads them whole."""
        return [*self.before, *ids, *self.after]


HOUSE = Symbols()
