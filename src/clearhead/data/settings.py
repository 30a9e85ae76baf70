"""What a recipe may say about sentence pairs: which files, and what happens to lines that cannot be used.

It opens no file; it only checks that what is said can be meant.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.data.split_settings import PairSplit
from clearhead.errors import nearest
from clearhead.settings import Settings

Format = Literal["tsv", "csv", "jsonl", "parquet"]
_FORMATS: dict[str, Format] = {
    ".tsv": "tsv",
    ".txt": "tsv",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


class PairFiles(Settings):
    """Where sentence pairs are: two plain files read side by side, or one table with a column for each side.

    Without ``file``, ``source`` and ``target`` are paths of plain text, one sentence per line (``.gz`` too). With
    ``file`` (.tsv, .csv, .jsonl, .parquet by its ending; .txt counts as tab-separated; ``.gz`` after it where it is
    text), they name its columns: by the header, or, with ``header = false``, by number from "1".
    """

    source: Annotated[str, Field(min_length=1)]
    target: Annotated[str, Field(min_length=1)]
    file: Annotated[str, Field(min_length=1)] | None = None
    header: bool = True

    @property
    def format(self) -> Format | None:
        """What kind of table ``file`` is; None for two plain files."""
        if self.file is None:
            return None
        name = self.file.lower()
        if name.endswith(".gz") and not name.endswith(".parquet.gz"):
            name = name[: -len(".gz")]
        return _FORMATS.get("." + name.rpartition(".")[2])

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.file is None:
            if not self.header:
                raise ValueError("header = false is about a table, but no file is given, only two plain text files")
            return self
        if self.format is None:
            ending = "." + self.file.rpartition(".")[2]
            raise ValueError(
                f"cannot tell what kind of table {self.file!r} is: expected an ending among {', '.join(_FORMATS)} "
                f"(all but .parquet also with .gz){nearest(ending, _FORMATS)}"
            )
        if not self.header:
            self._check_numbers()
        return self

    def _check_numbers(self) -> None:
        if self.format not in ("tsv", "csv"):
            raise ValueError(f"header = false is about .tsv and .csv; {self.file!r} names its fields itself")
        for side, column in (("source", self.source), ("target", self.target)):
            if not (column.isascii() and column.isdigit() and int(column) >= 1):
                raise ValueError(f'with header = false, {side} must be a column number from "1", not {column!r}')


class DataFolder(Settings):
    """What the data of every task has: a folder, relative to the recipe, in which its files lie."""

    folder: str = "."


class PairData(DataFolder):
    """The files of a translation job and the declared, counted policy for lines that do not fit.

    ``split`` holds shares of the training pairs out, for "valid" or "test" without files of their own. ``max_length``
    is in tokens per side and includes the special ones around a text, such as the end symbol. ``bad_lines`` are those
    that cannot be read as a pair: invalid UTF-8, NUL, broken JSON or CSV, a wrong type, a wrong number of columns. Two
    plain files of unequal length are always refused.
    """

    train: PairFiles
    valid: PairFiles | None = None
    test: PairFiles | None = None
    split: PairSplit | None = None
    max_length: Annotated[int, Field(ge=2, le=1 << 20)] = 128
    too_long: Literal["drop", "truncate", "refuse"] = "drop"
    empty: Literal["drop", "refuse"] = "drop"
    duplicates: Literal["keep", "drop"] = "keep"
    bad_lines: Literal["refuse", "skip"] = "refuse"

    @model_validator(mode="after")
    def _held_out_once(self) -> Self:
        for name in ("valid", "test"):
            if self.split is not None and getattr(self.split, name) and getattr(self, name) is not None:
                raise ValueError(f"{name} is given as files and as a share of the training pairs: choose one")
        return self
