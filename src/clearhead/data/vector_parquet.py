"""Rows of vectors and labels from two columns of a Parquet file, through the optional pyarrow.

Vectors are lists of lists of numbers; labels whole numbers, strings, or lists of them. Memory is that of a few rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from clearhead.data.vector_settings import VectorFiles
from clearhead.errors import DataError, nearest, need

_ROWS_AT_A_TIME = 512


def read_columns(files: VectorFiles, folder: Path) -> Iterator[tuple[Any, Any]]:
    """Vectors and labels of each row as they stand there; see ``vectors.read_vectors``."""
    assert files.file is not None  # a Parquet file is named by it
    path, names = folder / files.file, [files.vectors, files.labels]
    table = _open(path)
    try:
        for name in names:
            known = table.schema_arrow.names
            if known.count(name) != 1:
                raise DataError(f"{path} has no column {name!r}{nearest(name, known)}, it has {known}")
        for batch in table.iter_batches(batch_size=_ROWS_AT_A_TIME, columns=names, use_threads=False):
            vectors, labels = (batch.column(name).to_pylist() for name in names)
            yield from zip(vectors, labels, strict=True)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}") from error
    finally:
        table.close()


def _open(path: Path) -> Any:
    parquet = need("pyarrow.parquet", "parquet")
    try:
        return parquet.ParquetFile(path)
    except FileNotFoundError as error:
        raise DataError(f"there is no data file {path}") from error
    except (OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable Parquet file: {error}") from error
