"""What a recipe may say about texts to model: which files, where a document ends, how documents become rows.

It opens no file; it only checks that what is said can be meant.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.data.settings import DataFolder, PairFiles
from clearhead.settings import Settings

Name = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
TABLES = (".csv", ".jsonl", ".ndjson", ".parquet")


class DocumentFiles(Settings):
    """Where documents are: plain text, or one column of tables with a document in each row.

    ``files`` are paths or patterns such as ``"books/*.txt"``, read in the order given, the matches of a pattern in the
    order of their names. In plain text (``.gz`` too) a document is a whole "file", a "line", or a "paragraph" (blank
    lines stand between paragraphs). With ``column`` the files are tables (.tsv, .csv, .jsonl, .parquet), and the column
    is named by the header, or, with ``header = false``, by number from "1".
    """

    files: Annotated[tuple[Name, ...], Field(min_length=1, strict=False)]
    documents: Literal["file", "line", "paragraph"] = "file"
    column: Name | None = None
    header: bool = True

    def table(self, file: str) -> PairFiles:
        """The one column of ``file`` as both sides of a table of pairs, whose readers then read it."""
        return PairFiles(file=file, source=self.column or "1", target=self.column or "1", header=self.header)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.column is None:
            tables = [name for name in self.files if name.lower().removesuffix(".gz").endswith(TABLES)]
            if tables:
                raise ValueError(f"{tables[0]!r} is a table: say which column holds the text with column")
            if not self.header:
                raise ValueError("header = false is about tables, but no column is given, only plain text files")
            return self
        if self.documents != "file":
            raise ValueError(
                f'documents = "{self.documents}" is about plain text, but column is given: each row is a document'
            )
        for name in self.files:
            self.table(name)
        return self


class TailSplit(Settings):
    """Which share of the training text, counted in characters from its end, is held out: first ``valid``, then
    ``test``.

    A text of one document a file is cut at the character; elsewhere a document is never cut and belongs to the part
    in which it begins.
    """

    valid: Share = 0.0
    test: Share = 0.0

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that are cut out of the training text, its rest among them."""
        return ("train", *(part for part in ("valid", "test") if getattr(self, part)))

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not 0 < self.valid + self.test < 1:
            raise ValueError(
                f"valid = {self.valid} and test = {self.test} must leave some text to train on and some to hold out"
            )
        return self


class DocumentData(DataFolder):
    """The texts of a language model and how they become rows of ``length`` tokens.

    ``packing`` "documents": rows are filled with one document after another, and no token sees another document;
    positions begin anew with each. "continuous": all text is one stream, cut into rows as it comes; a token sees
    whatever stands before it in its row. Either way a document that is longer than what is left of a row goes on in
    the next. ``offsets`` is how many grids of rows are used in turn: epoch e begins its rows ``e * length / offsets``
    tokens later, so that the same text is not cut at the same places again and again.
    """

    train: DocumentFiles
    valid: DocumentFiles | None = None
    test: DocumentFiles | None = None
    split: TailSplit | None = None
    length: Annotated[int, Field(ge=2, le=1 << 20)] = 256
    packing: Literal["documents", "continuous"] = "documents"
    offsets: Annotated[int, Field(ge=1, le=64)] = 1
    bad_lines: Literal["refuse", "skip"] = "refuse"

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.split is not None:
            for name in ("valid", "test"):
                if getattr(self, name) is not None and getattr(self.split, name):
                    raise ValueError(f"{name} is given as files and as a share of the training text: choose one")
        if self.offsets > self.length:
            raise ValueError(f"offsets {self.offsets} is more than the {self.length} places a row can begin at")
        return self
