"""What a recipe may say about sequences of vectors: which files, which arrays or columns, what is done with bad rows.

It opens no file; it only checks that what is said can be meant.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from clearhead.data.settings import DataFolder
from clearhead.errors import nearest
from clearhead.settings import Settings

VectorFormat = Literal["npz", "parquet"]
ENDINGS: dict[str, VectorFormat] = {".npz": "npz", ".parquet": "parquet"}
ARRAY = ".npy"
Name = Annotated[str, Field(min_length=1)]


class VectorFiles(Settings):
    """Where sequences of vectors and their labels are: arrays side by side, or one file that has both.

    Without ``file``, ``vectors``, ``labels`` and ``lengths`` are paths of ``.npy`` arrays. With ``file`` (``.npz`` or
    ``.parquet``), they name its arrays or columns. ``vectors`` is (N, T, F), N sequences of T vectors of width F, of
    which the first ``lengths`` (N,) are real where that is given; or (L, F), all sequences one after another, and
    ``lengths`` says where they end. In Parquet it is a list of lists of numbers. Labels are whole numbers or strings:
    one a sequence (N,), or one a vector (N, T) or (L,), in Parquet a list.
    """

    vectors: Name
    labels: Name
    lengths: Name | None = None
    file: Name | None = None

    @property
    def format(self) -> VectorFormat | None:
        """What ``file`` is; None for arrays."""
        return None if self.file is None else ENDINGS.get("." + self.file.lower().rpartition(".")[2])

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.file is not None and self.format is None:
            ending = "." + self.file.rpartition(".")[2]
            raise ValueError(
                f"cannot tell what {self.file!r} holds: expected an ending among {', '.join(ENDINGS)}"
                f"{nearest(ending, ENDINGS)}, or no file and {ARRAY} files for vectors and labels"
            )
        if self.file is None:
            for name in (self.vectors, self.labels, self.lengths):
                if name is not None and not name.lower().endswith(ARRAY):
                    raise ValueError(f"without file, vectors, labels and lengths are {ARRAY} files; got {name!r}")
        if self.format == "parquet" and self.lengths is not None:
            raise ValueError("lengths: a list in Parquet knows its own length; leave it out")
        return self


class VectorData(DataFolder):
    """The files of a job on vectors and the declared, counted policy for rows that do not fit.

    With ``standardise`` every feature is shifted and scaled to mean 0 and variance 1 over the training data, and what
    is predicted later in the same way. ``max_length`` is in vectors; in evaluation and prediction a longer sequence is
    read in parts where every vector has a label, and loses its end where the whole has one. ``bad_lines`` are rows
    with vectors of differing width, a number that is not finite, no vector, or not as many labels as vectors.
    """

    train: VectorFiles
    valid: VectorFiles | None = None
    test: VectorFiles | None = None
    standardise: bool = True
    max_length: Annotated[int, Field(ge=1, le=1 << 20)] = 1024
    too_long: Literal["refuse", "cut", "drop"] = "refuse"
    bad_lines: Literal["refuse", "skip"] = "refuse"

    @property
    def parts(self) -> dict[str, VectorFiles]:
        """The files that are given, by the part they belong to."""
        given = {"train": self.train, "valid": self.valid, "test": self.test}
        return {part: files for part, files in given.items() if files is not None}
