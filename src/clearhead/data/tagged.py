"""Sentences whose words carry tags, as a stream, whatever the files look like. One table line per format.

What a sentence is, and what breaks one, is known to ``conllu`` and ``columns``; what becomes of long ones elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from clearhead.data.columns import read_columns
from clearhead.data.conllu import read_conllu
from clearhead.data.ledger import Ledger
from clearhead.data.tag_settings import TagColumn, TagData, TagFormat
from clearhead.data.tagged_sentence import SPAN_TAGS, TaggedSentence, marks_spans

OUTSIDE_SCHEME = "a tag that marks no span"


class _Reader(Protocol):
    def __call__(self, path: Path, column: TagColumn, ledger: Ledger) -> Iterator[TaggedSentence]: ...


_READERS: dict[TagFormat, _Reader] = {"conllu": read_conllu, "columns": read_columns}


def read_tagged(settings: TagData, name: str, folder: Path, ledger: Ledger) -> Iterator[TaggedSentence]:
    """The sentences of the file ``name`` (one of those in ``settings``, or another), relative to ``folder``, in order.

    Every sentence met, usable or not, adds one to ``ledger.read``.

    Raises:
        DataError: the file is missing or damaged, or a line of it is unreadable and the ledger is strict; so is a
            sentence with a tag that does not fit ``settings.scheme``. The message names file and line.
        ValueError: the name does not say what the file holds.
    """
    path = folder / name
    for sentence in _READERS[settings.format_of(name)](path, settings.column, ledger):
        if settings.scheme == "none" or _fits_scheme(sentence, path, ledger):
            yield sentence


def _fits_scheme(sentence: TaggedSentence, path: Path, ledger: Ledger) -> bool:
    for word, tag in zip(sentence.words, sentence.tags, strict=True):
        if not marks_spans(tag):
            detail = f"expected {SPAN_TAGS}; got {tag!r} of {word!r} in the sentence that begins there"
            ledger.bad(OUTSIDE_SCHEME, path, sentence.line, detail)
            return False
    return True
