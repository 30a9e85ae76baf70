"""A prepared corpus of sequences of vectors on disk, memory-mapped, and how it is made from rows that were checked.

``vectors`` holds row after row, already standardised; ``starts`` where each begins; ``labels`` a number for every
vector or one a row. The mean and the scale of every feature lie beside them, to be applied to whatever comes later.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from clearhead.data.array_folder import Arrays, flush, open_arrays, write_array, write_page
from clearhead.data.ledger import Ledger
from clearhead.data.prepare import complete_or_absent, sha256
from clearhead.data.prepare_tagged import number_of
from clearhead.data.vector_batch import VectorBatch, collate_vectors
from clearhead.data.vector_settings import VectorData
from clearhead.data.vectors import VectorRow, read_vectors, vector_paths
from clearhead.errors import DataError

KIND, FORMAT = "labelled vectors", 1


class Scale(NamedTuple):
    """What is taken off every feature, and what it is then divided by: (F,) each."""

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def apply(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """(T, F) vectors as the model reads them."""
        scaled = (vectors.astype(np.float64) - np.array(self.mean)) / np.array(self.deviation)
        return np.asarray(scaled, dtype=np.float32)


class VectorCorpus:
    """N sequences, labelled by vector or as a whole."""

    samples = 1

    def __init__(self, arrays: Arrays, page: dict[str, Any]) -> None:
        """Use ``open``, which reads and checks both."""
        self.ledger: dict[str, Any] = page["ledger"]
        self.inputs: dict[str, str] = page["inputs"]
        self.fingerprint: str = page["fingerprint"]
        self._per_vector: bool = page["per_vector"]
        self._vectors, self._labels, self._starts = arrays["vectors"], arrays["labels"], arrays["starts"]

    @classmethod
    def open(cls, folder: Path) -> VectorCorpus:
        """Map a prepared corpus.

        Raises:
            RunError: the folder is not a prepared corpus, or a file of it is missing or has the wrong size.
        """
        return cls(*open_arrays(folder, KIND, FORMAT))

    def __len__(self) -> int:
        """N, the number of sequences."""
        return len(self._starts) - 1

    @property
    def vectors(self) -> int:
        """Vectors of all sequences."""
        return len(self._vectors)

    def lengths(self, sample: int = 0) -> NDArray[np.int32]:
        """(N, 1) vectors of every sequence, less the one that an order of batches adds for a symbol of its own."""
        return np.asarray(np.diff(self._starts)[:, None] - 1, dtype=np.int32)

    def batch(self, rows: NDArray[np.int64], sample: int = 0) -> VectorBatch:
        """These sequences, padded."""
        spans = [slice(self._starts[row], self._starts[row + 1]) for row in rows]
        vectors = [self._vectors[span] for span in spans]
        return collate_vectors(
            vectors, [self._labels[span] for span in spans] if self._per_vector else self._labels[np.asarray(rows)]
        )


def measured(rows: Iterable[VectorRow], *, standardise: bool) -> tuple[Scale, set[str]]:
    """The scale of the features over all vectors, and every label that occurs.

    A feature that never changes is divided by 1. Without ``standardise`` nothing is shifted or scaled.
    """
    count, labels = 0, set[str]()
    mean = squares = np.zeros(0)
    for row in rows:
        labels.update(row.labels)
        vectors = row.vectors.astype(np.float64)
        if not count:
            mean, squares = np.zeros(vectors.shape[1]), np.zeros(vectors.shape[1])
        # Chan, Golub & LeVeque 1979: means and squared deviations of two sets make those of both.
        apart, own = vectors.mean(0) - mean, count / (count + len(vectors))
        squares = squares + ((vectors - vectors.mean(0)) ** 2).sum(0) + apart**2 * own * len(vectors)
        count += len(vectors)
        mean = mean + apart * (len(vectors) / count)
    deviation = np.sqrt(squares / max(count, 1))
    deviation = np.where(deviation > 1e-12 * np.maximum(1.0, np.abs(mean)), deviation, 1.0)
    if not standardise:
        mean, deviation = np.zeros_like(mean), np.ones_like(deviation)
    return Scale(tuple(mean.tolist()), tuple(deviation.tolist())), labels


def prepare_vectors(
    settings: VectorData, scale: Scale, labels: Mapping[str, int], out: Path, *, per_vector: bool
) -> VectorCorpus:
    """Prepare the training part into ``out``. The same input gives the same files, to the byte.

    Raises:
        DataError: a file cannot be read, a row breaks a policy that says "refuse", or no row is left.
        RunError: ``out`` cannot be written.
    """
    folder, ledger = Path(settings.folder), Ledger(strict=settings.bad_lines == "refuse")
    paths = vector_paths(settings.train, folder)
    starts, numbers = [0], list[int]()
    with complete_or_absent(out) as partial:
        with (partial / "vectors.bin").open("wb") as file:
            rows = read_vectors(settings.train, folder, ledger, per_vector=per_vector, width=len(scale.mean))
            for row in fitting(rows, settings, ledger):
                file.write(scale.apply(row.vectors).astype("<f4").tobytes())
                starts.append(starts[-1] + len(row.vectors))
                numbers += [number_of(label, labels, paths[0], row.row) for label in row.labels]
            flush(file)
        if len(starts) == 1:
            reasons = "".join(f", {entry.count} dropped for {reason}" for reason, entry in ledger.dropped.items())
            raise DataError(f"no usable row in {paths[0]}: {ledger.read} read{reasons}")
        arrays: Arrays = {"starts": np.array(starts, dtype=np.int64), "labels": np.array(numbers, dtype=np.int32)}
        for name, values in arrays.items():
            write_array(partial, name, values)
        shapes = {name: (values.dtype.str, values.shape) for name, values in arrays.items()}
        inputs = {str(path.relative_to(folder)): sha256(path) for path in paths}
        policies = settings.model_dump(include={"standardise", "max_length", "too_long", "bad_lines"})
        made_of = {"format": FORMAT, "inputs": inputs, "labels": dict(labels), "per_vector": per_vector, **policies}
        page = {"kind": KIND, "format": FORMAT, "inputs": inputs, "per_vector": per_vector, "made_of": made_of}
        write_page(
            partial,
            shapes | {"vectors": ("<f4", (starts[-1], len(scale.mean)))},
            page | {"ledger": ledger.as_dict()},
        )
    return VectorCorpus.open(out)


def fitting(rows: Iterable[VectorRow], settings: VectorData, ledger: Ledger) -> Iterable[VectorRow]:
    """The rows of at most ``max_length`` vectors, cut to fit where ``too_long`` says so; all are counted.

    Raises:
        DataError: a row is too long and ``too_long`` is "refuse".
    """
    path, limit = vector_paths(settings.train, Path(settings.folder))[0], settings.max_length
    for row in rows:
        if len(row.vectors) <= limit:
            yield row
        elif settings.too_long == "refuse":
            raise DataError(
                f"{path}:{row.row}: the sequence has {len(row.vectors)} vectors, max_length is {limit}; raise it, or "
                'set too_long = "cut" or "drop"'
            )
        elif settings.too_long == "drop":
            ledger.drop(f"a sequence of more than {limit} vectors", path, row.row)
        else:
            ledger.note(f"a sequence cut to {limit} vectors", path, row.row)
            labels = row.labels[:limit] if len(row.labels) == len(row.vectors) else row.labels
            yield VectorRow(row.vectors[:limit], labels, row.row)
