"""Metrics against sacreBLEU, on a case worked by hand, and where there is nothing to match."""

from __future__ import annotations

import math
import random

import pytest
import sacrebleu

from clearhead.errors import ConfigurationError, DataError
from clearhead.tasks.metrics import chrf, exact_match, multi_bleu_lowercased_tokenised, sacre_bleu, signatures
from clearhead.tasks.multi_bleu import multi_bleu

REFERENCES = [
    "Two young, White males are outside near many bushes.",
    'A man said: "It\'s 3.5% more (or less)!"',
    "Ein kleines Kind klettert die Treppen hoch.",
    "A girl in karate uniform breaking a stick with a front kick.",
]
HYPOTHESES = [
    "two young white males are near the bushes .",
    'A man said: "it\'s 3.5 % more or less!"',
    "Ein kleines Kind klettert eine Treppe hoch.",
    "A girl in a karate uniform breaks a stick with a front kick.",
]
MEASURES = [sacre_bleu, chrf, exact_match, multi_bleu_lowercased_tokenised]


def test_sacre_bleu_and_chrf_are_sacrebleus_own() -> None:
    assert sacre_bleu(HYPOTHESES, REFERENCES) == sacrebleu.corpus_bleu(HYPOTHESES, [REFERENCES]).score
    assert chrf(HYPOTHESES, REFERENCES) == sacrebleu.corpus_chrf(HYPOTHESES, [REFERENCES]).score


def test_chinese_is_cut_into_characters_when_asked() -> None:
    hypotheses, references = ["他把那本红书给她了"], ["他把这本红书给她了"]
    expected = sacrebleu.corpus_bleu(hypotheses, [references], tokenize="zh").score
    assert sacre_bleu(hypotheses, references, tokenize="zh") == expected > 20
    assert sacre_bleu(hypotheses, references) == 0


def test_multi_bleu_is_sacrebleu_lower_cased_without_smoothing() -> None:
    chance, words = random.Random(0), "a b c d e f, g. H I's J-k 3.5 (l)".split()
    for _ in range(20):
        references = [" ".join(chance.choices(words, k=chance.randrange(1, 30))) for _ in range(9)]
        hypotheses = [" ".join(word for word in line.split() if chance.random() < 0.9) for line in references]
        expected = sacrebleu.corpus_bleu(hypotheses, [references], lowercase=True, smooth_method="none").score
        assert multi_bleu_lowercased_tokenised(hypotheses, references) == pytest.approx(expected, abs=1e-9)


def test_multi_bleu_by_hand() -> None:
    """7 of 8 words, 5 of 7 pairs, 3 of 6 triples, 2 of 5 quadruples; 8 words against 9."""
    hypothesis = "the cat sat on a mat of straw".split()
    reference = "the cat sat on the big mat of straw".split()
    expected = 100 * math.exp(1 - 9 / 8) * (7 / 8 * 5 / 7 * 3 / 6 * 1 / 5) ** (1 / 4)
    assert multi_bleu([hypothesis], [reference]) == pytest.approx(expected)


def test_a_word_counts_as_often_as_the_reference_has_it() -> None:
    """The clipping example of the paper: seven times "the" matches twice."""
    counts = sacrebleu.corpus_bleu(["the " * 7], [["the cat is on the mat"]], smooth_method="none")
    assert counts.precisions[0] == pytest.approx(100 * 2 / 7)
    assert multi_bleu([["the"] * 7 + list("abcd")], [["the"] * 2 + list("abcd")]) == pytest.approx(
        100 * (6 / 11 * 5 / 10 * 4 / 9 * 3 / 8) ** (1 / 4)
    )


@pytest.mark.parametrize("measure", MEASURES)
def test_a_perfect_set_scores_100_and_a_disjoint_or_empty_one_0(measure) -> None:  # type: ignore[no-untyped-def]
    assert measure(REFERENCES, REFERENCES) == pytest.approx(100)
    assert measure(["x"] * 4, REFERENCES) == pytest.approx(0, abs=1)
    assert measure([""] * 4, REFERENCES) == 0
    assert measure(["", "Zz"], ["", "Zz"]) == pytest.approx(100 if measure in (exact_match, chrf) else 0)


@pytest.mark.parametrize("measure", MEASURES)
def test_unequal_numbers_and_nothing_to_score_are_refused(measure) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(DataError, match="got 1 hypotheses and 2 references"):
        measure(["a"], ["a", "b"])
    with pytest.raises(DataError, match="no sentences"):
        measure([], [])


def test_exact_match_ignores_spaces_around() -> None:
    assert exact_match(["a b", " c", "d"], ["a b", "c ", "D"]) == pytest.approx(200 / 3)


def test_an_unknown_tokenizer_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"'13b' \(did you mean '13a'\?\)"):
        sacre_bleu(["a"], ["a"], tokenize="13b")


def test_signatures_say_how_the_numbers_came_about() -> None:
    found = signatures(tokenize="zh")
    version = sacrebleu.__version__
    assert found["bleu"] == f"nrefs:1|case:mixed|eff:no|tok:zh|smooth:exp|version:{version}"
    assert found["multi_bleu_lowercased"] == f"nrefs:1|case:lc|eff:no|tok:13a|smooth:none|version:{version}"
    assert found["chrf"] == f"nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:{version}"
