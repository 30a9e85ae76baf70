"""Turns labelled texts into a prepared corpus: applies the declared policies, cuts into what the model reads, writes.

The texts come read and labelled. The folder appears under its name only when it is complete; every text is accounted
for in the ledger.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.data.array_folder import Arrays, write_array, write_page
from clearhead.data.label_settings import LabelData
from clearhead.data.labelled import LabelledText
from clearhead.data.labels import Labels
from clearhead.data.ledger import Ledger
from clearhead.data.prepare import complete_or_absent, sha256
from clearhead.data.ragged import Ragged
from clearhead.data.surroundings import room_inside
from clearhead.data.text_corpus import FORMAT, KIND, TextCorpus
from clearhead.data.text_reader import Rows, TextReader, TextTable
from clearhead.errors import ConfigurationError, DataError

ONCE = "a label with a single text"


@dataclass(frozen=True)
class Variety:
    """How many random segmentations are stored, and how random they are; see ``text.settings``."""

    samples: int = 1
    dropout: float = 0.0
    seed: int = 0


def without_blanks(settings: LabelData, rows: Iterable[LabelledText], ledger: Ledger) -> list[LabelledText]:
    """The texts that hold more than white space; the others go to ``ledger``.

    Raises:
        DataError: a text is blank and ``empty`` is "refuse".
    """
    kept, path = [], Path(settings.folder) / settings.train.file
    for row in rows:
        if row.text.strip():
            kept.append(row)
        elif settings.empty == "refuse":
            raise DataError(f'{path}:{row.line}: the text is blank; give it text, or set empty = "drop"')
        else:
            ledger.drop("a blank text", path, row.line)
    return kept


def prepare_texts(
    settings: LabelData,
    rows: Sequence[LabelledText],
    labels: Labels,
    reader: TextReader,
    variety: Variety,
    ledger: Ledger,
    out: Path,
) -> TextCorpus:
    """Prepare ``rows`` of the training data into ``out``. The same input gives the same files, to the byte.

    Raises:
        DataError: a text is too long and ``too_long`` is "refuse", or no text is left.
        RunError: ``out`` cannot be written.
    """
    path, numbers = Path(settings.folder) / settings.train.file, labels.numbers
    numbering = reader.begin()
    plain = numbering.rows([row.text for row in rows])
    room = room_inside(settings.max_length, reader.around)
    chosen = [p for p, row in enumerate(plain) if _fits(settings, room, len(row), path, rows[p].line, ledger)]
    if not chosen:
        reasons = "".join(f", {entry.count} dropped for {reason}" for reason, entry in ledger.dropped.items())
        raise DataError(f"no usable text in {path}: {ledger.read} read{reasons}")
    kept = [rows[place] for place in chosen]
    sides = _varied(reader, kept, [plain[place][:room] for place in chosen], variety)
    _note_lonely(kept, labels, path, ledger)
    wanted = [sorted(numbers[label] for label in row.labels) for row in kept]
    table, inputs = numbering.table(), {path.name: sha256(path)}
    page = {
        "kind": KIND,
        "format": FORMAT,
        "inputs": inputs,
        "samples": len(sides),
        "classes": len(labels.names),
        "sets": settings.between is not None,
        "before": table.before,
        "after": table.after,
        "made_of": _made_of(settings, labels, reader, variety) | {"inputs": inputs},
        "ledger": ledger.as_dict(),
    }
    _write(out, _arrays(sides, wanted, [row.line for row in kept], table), page)
    return TextCorpus.open(out)


def _arrays(sides: Sequence[Rows], labels: Rows, lines: Sequence[int], table: TextTable) -> Arrays:
    texts, wanted = [Ragged.of(side) for side in sides], Ragged.of(labels)
    arrays: Arrays = {
        **{f"numbers.{sample}": each.values for sample, each in enumerate(texts)},
        **{f"starts.{sample}": each.starts for sample, each in enumerate(texts)},
        "labels": wanted.values,
        "label_starts": wanted.starts,
        "lines": np.array(lines, dtype=np.int64),
        "ids": table.ids,
    }
    if table.ngrams is not None:
        arrays |= {"ngrams": table.ngrams.values, "ngram_starts": table.ngrams.starts}
    return arrays


def _write(out: Path, arrays: Arrays, page: Mapping[str, Any]) -> None:
    with complete_or_absent(out) as partial:
        for name, values in arrays.items():
            write_array(partial, name, values)
        write_page(partial, {name: (values.dtype.str, values.shape) for name, values in arrays.items()}, page)


def _fits(settings: LabelData, room: int, length: int, path: Path, line: int, ledger: Ledger) -> bool:
    limit = settings.max_length
    if length <= room:
        return True
    if settings.too_long == "refuse":
        raise DataError(
            f"{path}:{line}: the text takes {length + limit - room} positions with the symbols around it, "
            f'max_length is {limit}; raise it, or set too_long = "truncate" or "drop"'
        )
    if settings.too_long == "drop":
        ledger.drop(f"a text of more than {limit} positions", path, line)
        return False
    ledger.note(f"a text cut to {limit} positions", path, line)
    return True


def _varied(reader: TextReader, rows: Sequence[LabelledText], plain: Rows, variety: Variety) -> list[Rows]:
    """One entry a sample: the plain segmentation, or random ones that are no longer than the longest plain one."""
    if not variety.dropout:
        return [plain]
    sampler = reader.sampler(variety.dropout, variety.seed)
    if sampler is None:
        raise ConfigurationError("tokenizer.subword_dropout is about pieces, but here whole words are read")
    words = sampler.words([row.text for row in rows])
    longest = max(map(len, plain))
    return [
        [row if len(row) <= longest else safe for row, safe in zip(sampler.cut(words), plain, strict=True)]
        for _ in range(variety.samples)
    ]


def _note_lonely(rows: Sequence[LabelledText], labels: Labels, path: Path, ledger: Ledger) -> None:
    """A label that one text has cannot be learnt well, and is in training only: worth knowing."""
    lonely = {name for name, count in zip(labels.names, labels.counts, strict=True) if count == 1}
    for row in rows:
        for _ in lonely.intersection(row.labels):
            ledger.note(ONCE, path, row.line)


def _made_of(settings: LabelData, labels: Labels, reader: TextReader, variety: Variety) -> dict[str, Any]:
    """All that decides what a corpus holds, paths left out: a moved corpus is the same corpus."""
    split = settings.valid.model_dump(include={"share", "seed"}) if settings.valid and settings.valid.share else None
    return {
        "format": FORMAT,
        "reader": reader.fingerprint,
        "labels": labels.names,
        "split": split,
        "samples": variety.samples,
        "dropout": variety.dropout,
        "seed": variety.seed,
        **settings.model_dump(include={"max_length", "too_long", "empty", "bad_lines", "separator"}),
        **settings.train.model_dump(include={"text", "label", "header"}),
    }
