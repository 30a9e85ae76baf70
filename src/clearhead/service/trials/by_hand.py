"""Examples given in Python as the held-out data of each task: what a reader of files would have made of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from clearhead.data.documents import Piece
from clearhead.errors import ConfigurationError
from clearhead.service.tasks.classification import HeldOutTexts
from clearhead.service.tasks.language_modelling import HeldOutText
from clearhead.service.tasks.tagging import HeldOutTags
from clearhead.service.tasks.translation import HeldOutPairs
from clearhead.service.tasks.vectors import HeldOutVectors

NAME = "examples"


def pairs(examples: Sequence[Any]) -> HeldOutPairs:
    """(source, reference) each."""
    sources, references = _both(examples, "(source, reference)")
    return HeldOutPairs(NAME, tuple(sources), tuple(references))


def tagged(examples: Sequence[Any]) -> HeldOutTags:
    """(words, tags) each, two lists of one length."""
    words, tags = _both(examples, "(words, tags)")
    words, tags = _lists(words, "a list of words"), _lists(tags, "a list of tags")
    for number, (row, other) in enumerate(zip(words, tags, strict=True), start=1):
        if len(row) != len(other):
            raise ConfigurationError(f"data: example {number} has {len(row)} words and {len(other)} tags")
    return HeldOutTags(NAME, tuple(words), tuple(tags))


def labelled(examples: Sequence[Any]) -> HeldOutTexts:
    """(text, label) each, or (text, labels) with a list."""
    texts, labels = _both(examples, "(text, label)")
    _refuse_other_than_texts(texts)
    return HeldOutTexts(NAME, tuple(texts), tuple(_lists(labels, "a label or a list of labels", or_one=True)))


def texts(examples: Sequence[Any]) -> HeldOutText:
    """A text each."""
    _refuse_other_than_texts(examples)
    return HeldOutText(NAME, tuple(Piece(each, ends=True) for each in examples))


def vectors(examples: Sequence[Any]) -> HeldOutVectors:
    """(array (T, F), label or labels) each."""
    rows, labels = _both(examples, "(vectors, labels)")
    arrays = tuple(np.asarray(row, dtype=np.float32) for row in rows)
    wanted = _lists(labels, "a label or a list of labels", or_one=True)
    return HeldOutVectors(NAME, arrays, tuple(wanted), f"{NAME}:1", 0)


def _both(examples: Sequence[Any], what: str) -> tuple[list[Any], list[Any]]:
    for number, each in enumerate(examples, start=1):
        if not isinstance(each, (tuple, list)) or len(each) != 2:
            raise ConfigurationError(f"data: expected {what} each, but example {number} is {str(each)[:40]!r}")
    return [first for first, _ in examples], [second for _, second in examples]


def _lists(rows: Sequence[Any], what: str, *, or_one: bool = False) -> list[tuple[str, ...]]:
    """Each row as a tuple of strings; ``or_one``: a string alone is one of them, and not its characters."""
    found = []
    for number, row in enumerate(rows, start=1):
        row = (row,) if or_one and isinstance(row, str) else row
        if not isinstance(row, (list, tuple, np.ndarray)) or not all(isinstance(each, str) for each in row):
            raise ConfigurationError(f"data: expected {what} in each, as text, but example {number} has {row!r:.40}")
        found.append(tuple(row))
    return found


def _refuse_other_than_texts(texts: Sequence[Any]) -> None:
    for number, each in enumerate(texts, start=1):
        if not isinstance(each, str):
            raise ConfigurationError(f"data: expected texts, but example {number} is a {type(each).__name__}")
