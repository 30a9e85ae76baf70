"""Turns files of tagged sentences into a prepared corpus: reads, applies the declared policies, writes.

Sentences go through as a stream; what is held in memory are the distinct words. The folder appears under its name only
when it is complete. Every sentence read is accounted for in the ledger.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from clearhead.data.array_folder import Arrays, write_array, write_page
from clearhead.data.ledger import Ledger
from clearhead.data.long_sentences import LongSentences
from clearhead.data.prepare import complete_or_absent, sha256
from clearhead.data.tag_corpus import FORMAT, KIND, TagCorpus
from clearhead.data.tag_settings import TagData
from clearhead.data.tagged import read_tagged
from clearhead.data.tagged_sentence import TaggedSentence
from clearhead.data.word_table import WordReader
from clearhead.errors import DataError

_SENTENCES_AT_A_TIME = 4096


def prepare_tagged(settings: TagData, reader: WordReader, tags: Mapping[str, int], out: Path) -> TagCorpus:
    """Prepare the training part into ``out``: words as ``reader`` reads them, tags by their numbers.

    The same input gives the same files, to the byte.

    Raises:
        DataError: the file cannot be read, a line breaks a policy that says "refuse", or no sentence is left.
        RunError: ``out`` cannot be written.
    """
    path = Path(settings.folder) / settings.train
    ledger = Ledger(strict=settings.bad_lines == "refuse")
    growing = _Growing(settings, reader, tags, LongSentences(settings, path, ledger, reader.around))
    for portion in _portions(read_tagged(settings, settings.train, Path(settings.folder), ledger)):
        growing.add(portion)
    if not growing.lengths:
        reasons = "".join(f", {entry.count} dropped for {reason}" for reason, entry in ledger.dropped.items())
        raise DataError(f"no usable sentence in {path}: {ledger.read} read{reasons}")
    inputs = {path.name: sha256(path)}
    with complete_or_absent(out) as partial:
        arrays = growing.arrays()
        for name, values in arrays.items():
            write_array(partial, name, values)
        page = {
            "kind": KIND,
            "format": FORMAT,
            "inputs": inputs,
            "ngrams": bool(reader.buckets),
            "pooled": growing.pooled,
            "around": bool(reader.around),
            "made_of": _made_of(settings, reader, tags) | {"inputs": inputs},
            "ledger": ledger.as_dict(),
        }
        write_page(partial, {name: (values.dtype.str, values.shape) for name, values in arrays.items()}, page)
    return TagCorpus.open(out)


class _Growing:
    """The sentences so far: numbers of their words and tags, where each begins, how long it is, where it stood."""

    def __init__(self, settings: TagData, reader: WordReader, tags: Mapping[str, int], policy: LongSentences) -> None:
        self._limit, self._reader, self._tag_numbers, self._policy = policy.limit, reader, tags, policy
        self._numbers: dict[str, int] = {}
        self._sizes = array("q")
        self._words, self._tags, self._starts = array("i"), array("i"), array("q", [0])
        self._lines = array("q")
        self.lengths = array("i")
        self.pooled = False

    def add(self, sentences: list[TaggedSentence]) -> None:
        """Sentences in the parts that the policy makes of them."""
        self._meet(dict.fromkeys(word for sentence in sentences for word in sentence.words))
        for sentence in sentences:
            numbers = [self._numbers[word] for word in sentence.words]
            sizes = [self._sizes[number] for number in numbers]
            for part in self._policy.parts(sizes, sentence.line):
                self._words.extend(numbers[part])
                self._tags.extend(self._number(tag, sentence.line) for tag in sentence.tags[part])
                self._starts.append(len(self._words))
                self._lines.append(sentence.line)
                self.lengths.append(sum(sizes[part]) + self._reader.around)

    def arrays(self) -> Arrays:
        """All of it, and what the model reads of each distinct word."""
        table = self._reader.table(list(self._numbers), self._limit)
        arrays: Arrays = {
            "words": np.array(self._words, dtype=np.int32),
            "tags": np.array(self._tags, dtype=np.int32),
            "starts": np.array(self._starts, dtype=np.int64),
            "lengths": np.array(self.lengths, dtype=np.int32),
            "lines": np.array(self._lines, dtype=np.int64),
            "pieces": table.pieces.values,
            "piece_starts": table.pieces.starts,
        }
        if table.ngrams is not None:
            arrays |= {"ngrams": table.ngrams.values, "ngram_starts": table.ngrams.starts}
        return arrays

    def _number(self, tag: str, line: int) -> int:
        return number_of(tag, self._tag_numbers, self._policy.path, line)

    def _meet(self, words: dict[str, None]) -> None:
        new = [word for word in words if word not in self._numbers]
        if new:
            table = self._reader.table(new, self._limit)
            self.pooled = table.pooled
            self._numbers.update({word: number for number, word in enumerate(new, start=len(self._numbers))})
            self._sizes.extend(table.positions(np.arange(len(new))).tolist())


def number_of(name: str, numbers: Mapping[str, int], path: Path, line: int) -> int:
    """The number of a tag or label.

    Raises:
        DataError: it has none, as when the training data of a run has been changed since the run was begun.
    """
    if name not in numbers:
        raise DataError(
            f"{path}:{line}: {name!r} is none of the {len(numbers)} that this run was begun with, such as "
            f"{next(iter(numbers))!r}; train anew into another folder"
        )
    return numbers[name]


def _portions(sentences: Iterator[TaggedSentence]) -> Iterator[list[TaggedSentence]]:
    while portion := list(islice(sentences, _SENTENCES_AT_A_TIME)):
        yield portion


def _made_of(settings: TagData, reader: WordReader, tags: Mapping[str, int]) -> dict[str, Any]:
    """All that decides what a corpus holds, paths left out: a moved corpus is the same corpus."""
    policies = settings.model_dump(include={"column", "scheme", "max_length", "too_long", "bad_lines"})
    return {"format": FORMAT, "words": reader.fingerprint, "tags": dict(tags), **policies}
