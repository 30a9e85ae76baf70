"""What a recipe may say about labelled texts: which files, which columns, which labels, and what becomes of odd rows.

It opens no file; it only checks that what is said can be meant.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from clearhead.data.settings import DataFolder, PairFiles
from clearhead.settings import Settings

Name = Annotated[str, Field(min_length=1)]


class LabelledFile(Settings):
    """One table with a column of texts and one of labels: .tsv (.txt), .csv, .jsonl or .parquet, by its ending.

    ``.gz`` may follow where it is text. Tab-separated text knows no quoting; CSV follows RFC 4180. ``text`` and
    ``label`` name the columns: by the header, or, with ``header = false``, by number from "1".
    """

    file: Name
    text: Name = "text"
    label: Name = "label"
    header: bool = True

    def as_pairs(self) -> PairFiles:
        """The same table, for the readers of pairs: the text on one side, the label on the other."""
        return PairFiles(file=self.file, source=self.text, target=self.label, header=self.header)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        try:
            self.as_pairs()
        except ValidationError as error:
            raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from None
        return self


class HeldOutFile(Settings):
    """Validation data: a table of its own, as ``LabelledFile``; or a ``share`` of the training data, drawn by ``seed``.

    The share is taken from every label alike, and equal texts never stand on both sides.
    """

    file: Name | None = None
    text: Name = "text"
    label: Name = "label"
    header: bool = True
    share: Annotated[float, Field(gt=0, lt=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 1

    def as_file(self) -> LabelledFile | None:
        """The table, where it is one."""
        if self.file is None:
            return None
        return LabelledFile(file=self.file, text=self.text, label=self.label, header=self.header)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if (self.file is None) == (self.share is None):
            raise ValueError(
                "expected the file of the validation data, or the share of the training data to hold out, and not both"
            )
        self.as_file()
        return self


class LabelData(DataFolder):
    """The files of a classification and the declared, counted policy for rows that do not fit.

    ``labels`` is a file with the name of a label on each line; the data may then write a label's name or its number,
    from 0. Without it the labels are those that the training data has. ``max_length`` is in positions of the model,
    one of which stands before the text. ``too_long`` and ``empty`` are about training; in evaluation and prediction a
    longer text loses its end, and a blank one gets no answer. ``bad_lines`` are those that cannot be read, a label that
    the file of labels lacks among them.
    """

    train: LabelledFile
    valid: HeldOutFile | None = None
    test: LabelledFile | None = None
    labels: Name | None = None
    max_length: Annotated[int, Field(ge=2, le=1 << 20)] = 128
    too_long: Literal["truncate", "drop", "refuse"] = "truncate"
    empty: Literal["drop", "refuse"] = "drop"
    bad_lines: Literal["refuse", "skip"] = "refuse"

    @property
    def between(self) -> str | None:
        """What stands between the labels of one text; None where a text has exactly one."""
        return None


class LabelSetData(LabelData):
    """The same where a text has any number of labels: none, in an empty field, is as good as another.

    In a table a field holds them with ``separator`` between; JSON and Parquet may have lists instead.
    """

    separator: Name = ","

    @property
    def between(self) -> str | None:
        """What stands between the labels of one text."""
        return self.separator
