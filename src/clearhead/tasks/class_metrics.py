"""How good labels of texts are: accuracy or exact matches, micro- and macro-F1, scores by label, and what is confused.

    precision = right / given,   recall = right / wanted,   F1 = 2 right / (given + wanted)

Micro-F1 puts all labels' counts together; macro-F1 is the mean of the F1 of the labels that are given or wanted at all
(as scikit-learn has it). A text wanted to have a label that training never saw counts as a mistake like any other.
Everything is from 0 to 100. Knows nothing of models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from clearhead.errors import DataError
from clearhead.tasks.sequence_metrics import Counts, total

NONE = "—"  # no label, in a confusion
Sets = Sequence[Sequence[str]]


def scores_of(given: Sets, wanted: Sets, known: Sequence[str]) -> tuple[dict[str, float], dict[str, Any]]:
    """Scores over all texts, and the tables behind them.

    Scores: ``exact_match`` (the labels are the very ones), ``micro_f1``, ``macro_f1``. Tables: ``labels`` by name;
    ``confusions`` as [wanted, given, texts], the most frequent first; ``unseen_labels`` that are none of ``known``.

    Raises:
        DataError: there are no texts, or not as many answers as texts.
    """
    if not wanted or len(given) != len(wanted):
        raise DataError(f"every text needs its answer, and there must be one: got {len(given)} and {len(wanted)}")
    counts = label_counts(given, wanted)
    exact = sum(set(one) == set(other) for one, other in zip(given, wanted, strict=True))
    scores = {
        "exact_match": 100.0 * exact / len(wanted),
        "micro_f1": total(counts.values()).f1 if counts else 100.0,
        "macro_f1": sum(each.f1 for each in counts.values()) / len(counts) if counts else 100.0,
    }
    names = [*(name for name in known if name in counts), *sorted(counts.keys() - set(known))]
    seen = set(known)
    unseen = Counter(label for row in wanted for label in row if label not in seen)
    tables = {
        "labels": {name: counts[name].as_dict() for name in names},
        "confusions": [[*pair, count] for pair, count in confusions(given, wanted).most_common()],
        "unseen_labels": dict(sorted(unseen.items())),
    }
    return scores, tables


def label_counts(given: Sets, wanted: Sets) -> dict[str, Counts]:
    """Counts of every label that occurs on either side."""
    pairs = [(set(one), set(other)) for one, other in zip(given, wanted, strict=True)]
    right = Counter(label for one, other in pairs for label in one & other)
    said = Counter(label for one, _ in pairs for label in one)
    asked = Counter(label for _, other in pairs for label in other)
    return {name: Counts(right[name], said[name], asked[name]) for name in sorted(said | asked)}


def confusions(given: Sets, wanted: Sets) -> Counter[tuple[str, str]]:
    """How often a missing label stands beside a wrong one: (wanted, given) for every such pair of one text.

    Where there is nothing on one side, that side is ``NONE``.
    """
    return Counter(pair for one, other in zip(given, wanted, strict=True) for pair in _mistakes(set(one), set(other)))


def _mistakes(given: set[str], wanted: set[str]) -> Iterator[tuple[str, str]]:
    missing, wrong = sorted(wanted - given), sorted(given - wanted)
    if missing or wrong:
        yield from ((label, other) for label in missing or [NONE] for other in wrong or [NONE])
