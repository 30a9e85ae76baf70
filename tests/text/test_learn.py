"""Learning: what is asked is what comes, and unigram's arithmetic against every way to cut a word, one by one."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from pydantic import ValidationError

from clearhead.errors import DataError
from clearhead.text import learn
from clearhead.text.lattice import Lattice
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import TokenizerSettings
from clearhead.text.unigram import learn_unigram


def test_lines_are_read_once_as_a_stream() -> None:
    stream = iter(["ein Haus", "zwei Häuser"] * 5)
    for kind in ("bpe", "unigram", "words", "characters", "bytes"):
        lines = ["ein Haus", "zwei Häuser"] * 5
        settings = TokenizerSettings(kind=kind, vocabulary=300)
        assert learn_tokenizer(settings, iter(lines)).fingerprint == learn_tokenizer(settings, lines).fingerprint
    learn_tokenizer(TokenizerSettings(kind="words"), stream)
    assert next(stream, None) is None


@pytest.mark.parametrize("kind", ["bpe", "unigram", "characters", "words", "bytes"])
@pytest.mark.parametrize("lines", [[], ["", ""]])
def test_no_text_is_refused(kind: str, lines: list[str]) -> None:
    with pytest.raises(DataError, match="no text to learn a vocabulary from"):
        learn_tokenizer(TokenizerSettings.model_validate({"kind": kind}), lines)


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
def test_without_byte_fallback_strange_characters_are_unknown(kind: str) -> None:
    settings = TokenizerSettings.model_validate({"kind": kind, "vocabulary": 60, "byte_fallback": False})
    tokenizer = learn_tokenizer(settings, ["ab abc abcd"] * 3)
    assert "<0x41>" not in tokenizer.vocabulary()
    assert tokenizer.decode(tokenizer.encode(["ab漢abc"])) == ["ab⁇abc"]


def test_min_frequency_holds_for_words_and_characters() -> None:
    lines = ["often often seldem", "often"]
    words = learn_tokenizer(TokenizerSettings(kind="words", min_frequency=3), lines).vocabulary()
    assert words[4:] == ["▁often"]
    characters = learn_tokenizer(TokenizerSettings(kind="characters", min_frequency=4), lines).vocabulary()
    assert characters[4:] == ["e"]


def test_a_huge_alphabet_leaves_room_for_pieces() -> None:
    lines = [chr(code) * 2 + " the cat" for code in range(0x4E00, 0x5000)] * 2
    for kind in ("bpe", "unigram"):
        tokenizer = learn_tokenizer(TokenizerSettings.model_validate({"kind": kind, "vocabulary": 300}), lines)
        assert tokenizer.size <= 300
        assert "▁the" in tokenizer.vocabulary()
        assert tokenizer.decode(tokenizer.encode(lines[:3])) == lines[:3]


def test_a_megabyte_without_a_space_is_no_trouble() -> None:
    line = "ab" * 500_000
    tokenizer = learn_tokenizer(TokenizerSettings(vocabulary=300), [line])
    assert tokenizer.decode(tokenizer.encode([line])) == [line]


def test_counting_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn, "_MOST_WORDS", 100)
    lines = [f"often {letters[0]}{letters[1]}x{letters[2]}" for letters in product("abcdefghij", repeat=3)]
    tokenizer = learn_tokenizer(TokenizerSettings(kind="words", min_frequency=1), lines)
    assert "▁often" in tokenizer.vocabulary()
    assert tokenizer.size <= 4 + 101


def ways(word: str, pieces: dict[str, float]) -> list[tuple[str, ...]]:
    if not word:
        return [()]
    return [
        (word[:size], *rest)
        for size in range(1, len(word) + 1)
        if word[:size] in pieces
        for rest in ways(word[size:], pieces)
    ]


def test_expected_counts_are_those_of_all_ways_to_cut() -> None:
    scores = {"a": -1.0, "b": -1.5, "ab": -1.2, "ba": -2.0, "aba": -2.5, "bab": -3.0}
    words, counts = ["ab", "abab", "b", "babab"], [3.0, 2.0, 1.0, 5.0]
    expected, best = Counter[str](), []
    for word, count in zip(words, counts, strict=True):
        weights = {way: math.exp(sum(scores[piece] for piece in way)) for way in ways(word, scores)}
        best.append(math.log(max(weights.values())))
        for way, weight in weights.items():
            for piece in way:
                expected[piece] += count * weight / sum(weights.values())
    numbers = {piece: number for number, piece in enumerate(scores)}
    lattice = Lattice.of(words, numbers, 3)
    values = np.array(list(scores.values()))
    np.testing.assert_allclose(lattice.expected(values, np.array(counts)), [expected[piece] for piece in scores])
    np.testing.assert_allclose(lattice.best(values), best)


def test_a_lattice_without_some_pieces_is_the_lattice_of_the_others() -> None:
    scores = {"a": -1.0, "b": -1.5, "ab": -1.2, "ba": -2.0}
    numbers = {piece: number for number, piece in enumerate(scores)}
    values, counts = np.array(list(scores.values())), np.array([1.0, 2.0])
    smaller = Lattice.of(["abab", "ba"], numbers, 2).restricted(np.array([True, True, True, False]))
    direct = Lattice.of(["abab", "ba"], {"a": 0, "b": 1, "ab": 2}, 2)
    np.testing.assert_allclose(smaller.expected(values, counts), direct.expected(values, counts))


def test_unigram_finds_the_parts_of_compounds() -> None:
    heads = "haus boot stadt wasser garten berg wald schul kinder sommer".split()
    tails = "mann frau weg platz rand bild zeit kleid spiel buch".split()
    words = {first + second: 1 for first, second in product(heads, tails)} | dict.fromkeys(heads + tails, 30)
    alphabet = sorted({character for word in words for character in word})
    pieces = dict(learn_unigram(words, len(alphabet) + 25, alphabet))
    assert set(heads + tails) <= set(pieces)
    assert set(alphabet) <= set(pieces)
    assert len(pieces) <= len(alphabet) + 25


def test_dropout_is_random_repeatable_and_fades_to_nothing() -> None:
    lines = ["der alte Mann sieht das alte Haus"] * 4
    tokenizer = learn_tokenizer(TokenizerSettings(vocabulary=320), lines)
    texts = lines * 10
    once = tokenizer.encode(texts, dropout=0.3, seed=5)
    assert once == tokenizer.encode(texts, dropout=0.3, seed=5)
    assert once != tokenizer.encode(texts, dropout=0.3, seed=6)
    assert len({tuple(row) for row in once}) > 10
    assert tokenizer.encode(texts, dropout=1e-12) == tokenizer.encode(texts)


def test_dropout_leaves_out_its_share_of_merges() -> None:
    tokenizer = learn_tokenizer(TokenizerSettings(vocabulary=270), ["ab"] * 10)
    assert tokenizer.pieces(tokenizer.encode(["ab"])[0]) == ["▁ab"]
    # One piece comes out only when neither of its two merges is left out: with nothing else to do, cutting ends.
    whole = [len(tokenizer.sampler(0.25, seed).cut([["▁ab"]])[0]) == 1 for seed in range(3000)]
    assert abs(sum(whole) / len(whole) - 0.75**2) < 0.03


def test_a_frequent_word_keeps_being_cut_at_random() -> None:
    tokenizer = learn_tokenizer(TokenizerSettings(vocabulary=270), ["ab"] * 10)
    sampler = tokenizer.sampler(0.25, 3)
    whole = [len(row) == 1 for row in sampler.cut([["▁ab"]] * 2000)[1000:]]
    assert 0.3 < sum(whole) / len(whole) < 0.8


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"vocabulary": 260}, "leaves nothing to learn"),
        ({"vocabulary": 4, "byte_fallback": False}, "greater than or equal to 5"),
        ({"kind": "unigram", "subword_dropout": 0.1}, 'subword_dropout is a property of kind = "bpe"'),
        ({"subword_samples": 3}, "the same segmentation again and again"),
        ({"subword_dropout": 1.0}, "less than 1"),
        ({"kind": "wordpiece"}, "'bpe', 'unigram', 'characters', 'words' or 'bytes'"),
        ({"vocabulary": "8000"}, "valid integer"),
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TokenizerSettings.model_validate(wrong)
