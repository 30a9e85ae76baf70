"""Word alignments from cross-attention, and how far they are from a person's.

Each target piece is linked to the source piece it looks at most. Pieces become words by union: two words are linked
when any of their pieces are (as in Zenkel et al. 2020, arXiv 2004.14675). A decoder's row t can be read in two ways:
the piece *written* there, or the piece just *read* there (Chen et al. 2020, arXiv 2004.14837, who find the row in which
a piece is the input to align better); which is better in a model is found on data. Measured by the alignment error rate
(Och & Ney 2003)

    AER = 1 − (|A ∩ S| + |A ∩ P|) / (|A| + |S|)        A found, S sure, P possible links, S ⊆ P

Knows no tokenizer: which word a piece belongs to is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from clearhead.errors import DataError

Link = tuple[int, int]  # source word, target word, from 0
LINK = re.compile(r"(\d+)([-?p])(\d+)")
NONE = -1  # the word of a piece that belongs to no word: a special symbol


@dataclass(frozen=True, slots=True)
class Gold:
    """A person's links of one pair of sentences; the sure ones are possible as well."""

    sure: frozenset[Link]
    possible: frozenset[Link]


def links_of(weights: Tensor, source_words: Sequence[int], target_words: Sequence[int], *, shift: int = 0) -> set[Link]:
    """The links of one map (T, S): row t + ``shift`` is where target piece t is read off.

    ``source_words`` (S) and ``target_words`` (up to T) say which word each piece belongs to, −1 for none; source pieces
    that belong to no word are not looked at, and a row that looks at nothing else gives no link.
    """
    known = torch.tensor(source_words, device=weights.device) != NONE
    masked = weights.float().masked_fill(~known, 0.0)
    links: set[Link] = set()
    for piece, word in enumerate(target_words):
        row = piece + shift
        if word != NONE and row < len(masked) and float(masked[row].max()) > 0:
            links.add((source_words[int(masked[row].argmax())], word))
    return links


def by_words(weights: Tensor, source_words: Sequence[int], target_words: Sequence[int]) -> Tensor:
    """A map of pieces (T, S) as one of words: summed over a source word's pieces, the mean of a target word's."""
    columns = _belongs(source_words, weights)
    rows = _belongs(target_words, weights)
    return (rows @ (weights.float() @ columns.t())) / rows.sum(1, keepdim=True).clamp(min=1)


def _belongs(words: Sequence[int], like: Tensor) -> Tensor:
    """(words, pieces): 1 where a piece belongs to the word."""
    count = max(words, default=NONE) + 1
    numbers = torch.tensor(words, device=like.device)
    return (torch.arange(count, device=like.device)[:, None] == numbers).float()


def error_rate(found: Iterable[set[Link]], gold: Iterable[Gold]) -> float:
    """AER over a corpus, from 0 (best) to 1.

    Raises:
        DataError: there are not as many alignments as sentences with gold links.
    """
    hits = links = sure = 0
    pairs = list(zip_equal(list(found), list(gold)))
    for alignment, wanted in pairs:
        hits += len(alignment & wanted.sure) + len(alignment & (wanted.possible | wanted.sure))
        links += len(alignment)
        sure += len(wanted.sure)
    return 1.0 - hits / (links + sure) if links + sure else 0.0


def zip_equal(found: list[set[Link]], gold: list[Gold]) -> Iterable[tuple[set[Link], Gold]]:
    """The two beside each other, if there are as many of them."""
    if len(found) != len(gold):
        raise DataError(f"expected gold alignments for {len(found)} sentence pairs, one a line, got {len(gold)}")
    return zip(found, gold, strict=True)


def predictability(corpus: Sequence[tuple[set[Link], Sequence[str], Sequence[str]]]) -> float:
    """Without gold: mutual information (nats) of the words that are linked, over (links, source words, target words).

    Links that mean something join words that go together all over the corpus, so the target word can be told from the
    source word; links to the end of the sentence or to a neighbour tell less. Compare heads on the same sentences only.
    """
    pairs = Counter((source[s], target[t]) for links, source, target in corpus for s, t in links)
    total = sum(pairs.values())
    left, right = Counter[str](), Counter[str]()
    for (s, t), count in pairs.items():
        left[s] += count
        right[t] += count
    return sum(count / total * log(count * total / (left[s] * right[t])) for (s, t), count in pairs.items())


def read_gold(line: str, *, first: int = 0) -> Gold:
    """One line of gold: ``0-0 1-2 3?4`` (Pharaoh): ``-`` sure, ``?`` or ``p`` possible; ``first`` is the first number.

    Raises:
        DataError: something in the line is no link.
    """
    sure, possible = set(), set()
    for text in line.split():
        found = LINK.fullmatch(text)
        if not found or min(int(found[1]), int(found[3])) < first:
            raise DataError(f"expected links such as 0-0 (sure) and 1?2 (possible), counted from {first}, got {text!r}")
        link = (int(found[1]) - first, int(found[3]) - first)
        possible.add(link)
        if found[2] == "-":
            sure.add(link)
    return Gold(frozenset(sure), frozenset(possible))


def written(links: Iterable[Link]) -> str:
    """Links as a line: ``0-0 1-2``."""
    return " ".join(f"{source}-{target}" for source, target in sorted(links))
