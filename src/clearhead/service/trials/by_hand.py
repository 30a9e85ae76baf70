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
    for number, (row, other) in enumerate(zip(words, tags, strict=True), start=1):
        if len(row) != len(other):
            raise ConfigurationError(f"data: example {number} has {len(row)} words and {len(other)} tags")
    return HeldOutTags(NAME, tuple(map(tuple, words)), tuple(map(tuple, tags)))


def labelled(examples: Sequence[Any]) -> HeldOutTexts:
    """(text, label) each, or (text, labels) with a list."""
    texts, labels = _both(examples, "(text, label)")
    return HeldOutTexts(NAME, tuple(texts), tuple((each,) if isinstance(each, str) else tuple(each) for each in labels))


def texts(examples: Sequence[Any]) -> HeldOutText:
    """A text each."""
    for number, each in enumerate(examples, start=1):
        if not isinstance(each, str):
            raise ConfigurationError(f"data: expected texts, but example {number} is a {type(each).__name__}")
    return HeldOutText(NAME, tuple(Piece(each, ends=True) for each in examples))


def vectors(examples: Sequence[Any]) -> HeldOutVectors:
    """(array (T, F), label or labels) each."""
    rows, labels = _both(examples, "(vectors, labels)")
    arrays = tuple(np.asarray(row, dtype=np.float32) for row in rows)
    wanted = tuple((each,) if isinstance(each, str) else tuple(each) for each in labels)
    return HeldOutVectors(NAME, arrays, wanted, f"{NAME}:1", 0)


def _both(examples: Sequence[Any], what: str) -> tuple[list[Any], list[Any]]:
    for number, each in enumerate(examples, start=1):
        if not isinstance(each, (tuple, list)) or len(each) != 2:
            raise ConfigurationError(f"data: expected {what} each, but example {number} is {str(each)[:40]!r}")
    return [first for first, _ in examples], [second for _, second in examples]
