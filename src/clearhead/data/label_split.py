"""Holds a share of labelled texts out for validation: from every label alike, equal texts on one side together.

Texts count as equal whatever their case and white space; what counts as a label is the whole set of a text's labels.
Of n different texts with one set, n × share are held out, rounded so that all of them together come as near the share
as can be; a set with a single text stays in training. The same rows, share and seed give the same parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from clearhead.data.labelled import LabelledText
from clearhead.errors import DataError


def held_out_rows(rows: Sequence[LabelledText], share: float, seed: int) -> NDArray[np.bool_]:
    """(N,) True for the rows that are held out.

    Raises:
        DataError: nothing would be held out.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    place: dict[str, tuple[str, ...]] = {}
    for row in rows:
        text = plain(row.text)
        if text not in place:
            place[text] = row.labels
            groups.setdefault(row.labels, []).append(text)
    chance, held, owed = np.random.default_rng(seed), set[str](), 0.0
    for labels in sorted(groups):
        texts = groups[labels]
        if len(texts) < 2:
            continue
        owed += len(texts) * share
        count = min(round(owed), len(texts) - 1)
        owed -= count
        held.update(texts[number] for number in chance.permutation(len(texts))[:count])
    if not held:
        raise DataError(f"a share of {share} of {len(rows)} texts holds none of them out: raise the share")
    return np.array([plain(row.text) in held for row in rows])


def plain(text: str) -> str:
    """What makes texts equal."""
    return " ".join(text.casefold().split())
