"""What a recipe may say about tagged sentences: which files, which tags, and what happens to what cannot be used.

It opens no file; it only checks that what is said can be meant.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.data.settings import DataFolder
from clearhead.errors import nearest

TagFormat = Literal["conllu", "columns"]
TagColumn = Literal["upos", "xpos", "feats"]
Scheme = Literal["none", "bio"]
TooLong = Literal["split", "cut", "drop", "refuse"]
ENDINGS: dict[str, TagFormat] = {
    ".conllu": "conllu",
    ".conll": "columns",
    ".tsv": "columns",
    ".txt": "columns",
    ".iob": "columns",
    ".bio": "columns",
}
File = Annotated[str, Field(min_length=1)]


class TagData(DataFolder):
    """The files of a tagging job and the declared, counted policy for sentences that do not fit.

    ``folder`` is relative to the recipe, the files are relative to ``folder``; ``.gz`` may follow any ending. What a
    file holds is told by its ending, or by ``format`` for all of them: CoNLL-U (``.conllu``), of which ``column`` is
    learnt, or two columns (``.tsv``, ``.txt``, ``.conll``, ``.iob``, ``.bio``): a token, a tab, its tag, and a blank
    line between sentences. ``scheme`` "bio" says that tags mark the beginning and the inside of spans, which are then
    scored as spans.

    ``max_length`` is in positions of the model: words, or their pieces where words are cut. In training a longer
    sentence is split into nearly equal parts, cut, dropped or refused, as ``too_long`` says; in evaluation and
    prediction it is always split, so that every word gets its tag. ``bad_lines`` are those that cannot be read; one of
    them costs its whole sentence.
    """

    train: File
    valid: File | None = None
    test: File | None = None
    format: TagFormat | None = None
    column: TagColumn = "upos"
    scheme: Scheme = "none"
    max_length: Annotated[int, Field(ge=1, le=1 << 20)] = 256
    too_long: TooLong = "split"
    bad_lines: Literal["refuse", "skip"] = "refuse"

    @property
    def files(self) -> dict[str, str]:
        """Those that are given, by the part they belong to."""
        parts = {"train": self.train, "valid": self.valid, "test": self.test}
        return {part: name for part, name in parts.items() if name is not None}

    def format_of(self, name: str) -> TagFormat:
        """What the file ``name`` holds.

        Raises:
            ValueError: neither ``format`` nor the file's ending says it.
        """
        if self.format is not None:
            return self.format
        ending = "." + name.lower().removesuffix(".gz").rpartition(".")[2]
        if ending not in ENDINGS:
            raise ValueError(
                f"cannot tell what {name!r} holds: expected an ending among {', '.join(ENDINGS)} (also with .gz)"
                f'{nearest(ending, ENDINGS)}, or format = "conllu" or "columns"'
            )
        return ENDINGS[ending]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        formats = {self.format_of(name) for name in self.files.values()}
        if "conllu" not in formats and self.column != "upos":
            raise ValueError(f"column = {self.column!r} is about CoNLL-U, but every file has two columns: leave it out")
        return self
