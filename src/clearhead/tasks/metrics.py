"""How good translations are, as numbers from 0 to 100 over a whole set: two BLEU measures, chrF, exact match.

Hypothesis i is compared with reference i. Knows nothing of models; sacreBLEU does the counting where it can.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from clearhead.errors import ConfigurationError, DataError, nearest
from clearhead.tasks.multi_bleu import multi_bleu

__all__ = [
    "bleu_counts",
    "bleu_of_counts",
    "chrf",
    "exact_match",
    "multi_bleu",
    "multi_bleu_lowercased_tokenised",
    "sacre_bleu",
    "signatures",
]


def sacre_bleu(hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = "13a") -> float:
    """BLEU of Papineni et al. 2002 as sacreBLEU reports it (Post 2018, arXiv 1804.08771), cased, plain texts in.

    ``tokenize`` names one of sacreBLEU's tokenizers: "13a", "zh" for Chinese, "char", "intl", "none", ….

    Raises:
        DataError: no sentences, or not as many hypotheses as references.
        ConfigurationError: sacreBLEU has no such tokenizer.
    """
    _check(hypotheses, references)
    return float(_bleu(tokenize).corpus_score(hypotheses, [references]).score)


def bleu_counts(hypotheses: Sequence[str], references: Sequence[str], *, tokenize: str = "13a") -> NDArray[np.float64]:
    """What each sentence contributes to ``sacre_bleu``, (N, 10): n-grams right and in all, n from 1 to 4, both lengths.

    Raises:
        DataError: as ``sacre_bleu``.
    """
    _check(hypotheses, references)
    metric = _bleu(tokenize)
    found = [metric.corpus_score([one], [[other]]) for one, other in zip(hypotheses, references, strict=True)]
    return np.array([[*each.counts, *each.totals, each.sys_len, each.ref_len] for each in found], dtype=np.float64)


def bleu_of_counts(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The BLEU of sums (…, 10) of ``bleu_counts``: of all sentences together, that of ``sacre_bleu``."""

    def one(row: NDArray[np.float64]) -> float:
        counts = [int(each) for each in row]
        return float(BLEU.compute_bleu(counts[:4], counts[4:8], counts[8], counts[9], smooth_method="exp").score)

    return np.asarray(np.apply_along_axis(one, -1, sums))


def chrf(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """chrF2 (Popovic 2015), character n-grams up to 6, no word n-grams, as sacreBLEU reports it.

    Raises:
        DataError: as ``sacre_bleu``.
    """
    _check(hypotheses, references)
    return float(CHRF().corpus_score(hypotheses, [references]).score)


def exact_match(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """How many hypotheses equal their reference, spaces at both ends aside, in percent.

    Raises:
        DataError: as ``sacre_bleu``.
    """
    _check(hypotheses, references)
    equal = sum(one.strip() == other.strip() for one, other in zip(hypotheses, references, strict=True))
    return 100.0 * equal / len(references)


def multi_bleu_lowercased_tokenised(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """What older papers call BLEU: the formula of multi-bleu.perl on lower-cased, tokenised text.

    They tokenised with a script of the Moses toolkit; here sacreBLEU's 13a does it, which differs in details
    (apostrophes and hyphens stay inside words). The number equals sacreBLEU's, lower-cased, without smoothing.

    Raises:
        DataError: as ``sacre_bleu``.
    """
    _check(hypotheses, references)
    tokenise = _bleu("13a").tokenizer
    return multi_bleu(
        [tokenise(text.lower()).split() for text in hypotheses], [tokenise(text.lower()).split() for text in references]
    )


def signatures(*, tokenize: str = "13a") -> dict[str, str]:
    """How each number came about, in sacreBLEU's notation, to be published with it."""
    lowercased = BLEU(lowercase=True, smooth_method="none")
    return {
        "bleu": _signature(_bleu(tokenize)),
        "chrf": _signature(CHRF()),
        "multi_bleu_lowercased": _signature(lowercased),
    }


def _bleu(tokenize: str) -> BLEU:
    if tokenize not in BLEU.TOKENIZERS:
        known = ", ".join(BLEU.TOKENIZERS)
        raise ConfigurationError(
            f"sacreBLEU has no tokenizer {tokenize!r}{nearest(tokenize, BLEU.TOKENIZERS)}: expected one of {known}"
        )
    return BLEU(tokenize=tokenize)


def _signature(metric: Metric) -> str:
    """The signature a metric has once it was used on single references."""
    metric.corpus_score(["a"], [["a"]])
    return str(metric.get_signature())


def _check(hypotheses: Sequence[str], references: Sequence[str]) -> None:
    if len(hypotheses) != len(references):
        raise DataError(
            f"every hypothesis needs its reference: got {len(hypotheses)} hypotheses and {len(references)} references"
        )
    if not references:
        raise DataError("there are no sentences to score: expected at least one hypothesis with its reference")
