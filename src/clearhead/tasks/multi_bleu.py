"""BLEU of Papineni et al. 2002 exactly as the script multi-bleu.perl computes it, for one reference.

    BLEU = BP * exp(1/4 * sum over n = 1..4 of log p_n),   BP = exp(min(0, 1 - r / h))

p_n is the share of the hypotheses' n-grams found in their references, each counted at most as often as there, over the
whole set; r and h are the lengths of references and hypotheses. Nothing is smoothed: one p_n of 0 makes it all 0.
Knows tokens only; who tokenises decides what a word is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

ORDER = 4

Tokens = Sequence[str]


def multi_bleu(hypotheses: Sequence[Tokens], references: Sequence[Tokens]) -> float:
    """BLEU from 0 to 100 of tokenised ``hypotheses``, each with the reference at the same place."""
    pairs = list(zip(hypotheses, references, strict=True))
    precisions = [_precision(pairs, order) for order in range(1, ORDER + 1)]
    if min(precisions) == 0.0:
        return 0.0
    hypothesis_length = sum(len(hypothesis) for hypothesis, _ in pairs)
    reference_length = sum(len(reference) for _, reference in pairs)
    brevity = min(0.0, 1.0 - reference_length / hypothesis_length)
    return 100.0 * math.exp(brevity + sum(math.log(precision) for precision in precisions) / ORDER)


def _precision(pairs: Sequence[tuple[Tokens, Tokens]], order: int) -> float:
    found = sum((_ngrams(hypothesis, order) & _ngrams(reference, order)).total() for hypothesis, reference in pairs)
    total = sum(max(0, len(hypothesis) - order + 1) for hypothesis, _ in pairs)
    return found / total if total else 0.0


def _ngrams(tokens: Tokens, order: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[place : place + order]) for place in range(len(tokens) - order + 1))
