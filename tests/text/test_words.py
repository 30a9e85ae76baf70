"""Words as numbers: the vocabulary, the n-grams, and the way to disk and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from clearhead.errors import RunError
from clearhead.text.word_settings import WordInput
from clearhead.text.words import WordVocabulary, character_ngrams

PAGE = '{"settings": {}, "words": %s}'
TEXT = "the cat saw The dog the cat".split()


def test_frequent_words_have_entries_the_rest_is_unknown() -> None:
    vocabulary = WordVocabulary.learn(TEXT, WordInput())
    assert vocabulary.words == ("the", "cat")
    assert [vocabulary.id(word) for word in ("the", "THE", "cat", "dog")] == [4, 4, 5, 1]
    assert vocabulary.size == 6


def test_case_counts_when_asked_and_the_bound_keeps_the_most_frequent() -> None:
    vocabulary = WordVocabulary.learn(TEXT, WordInput(lowercase=False, min_frequency=1, vocabulary=3))
    assert vocabulary.words == ("cat", "the", "The")
    assert vocabulary.id("THE") == 1


def test_ngrams_by_hand() -> None:
    assert character_ngrams("of", 1, 2) == ["\x02", "o", "f", "\x03", "\x02o", "of", "f\x03"]
    capitals = character_ngrams("Of", 1, 2)
    assert capitals[:7] == ["\x02", "O", "f", "\x03", "\x02O", "Of", "f\x03"]
    assert capitals[7:] == ["\x03\x02o", "\x03of", "\x03f\x03"]


def test_of_a_long_word_only_the_ends_count() -> None:
    assert character_ngrams("a" * 16 + "b" * 500 + "c" * 16, 3, 5) == character_ngrams("a" * 16 + "c" * 16, 3, 5)


@given(word=st.text(max_size=40))
@settings(max_examples=100, deadline=None)
def test_any_word_has_ngrams_in_the_buckets(word: str) -> None:
    buckets = WordVocabulary([], WordInput(buckets=50)).ngrams(word)
    assert buckets and all(1 <= bucket < 50 for bucket in buckets)
    assert WordVocabulary([], WordInput(buckets=0)).ngrams(word) == ()


def test_buckets_are_the_same_in_every_process() -> None:
    # zlib.crc32 of UTF-8, by hand: crc32(b"\x02") = 0x3c0c8ea1, crc32(b"a") = 0xe8b7be43, crc32(b"\x03") = 0x4b0bbe37
    vocabulary = WordVocabulary([], WordInput(buckets=1001, longest=1))
    assert vocabulary.ngrams("a") == tuple(1 + value % 1000 for value in (0x3C0C8EA1, 0xE8B7BE43, 0x4B0BBE37))


def test_saved_and_loaded_it_is_the_same(tmp_path: Path) -> None:
    vocabulary = WordVocabulary.learn([*TEXT, "a b", "\u2028", "“"], WordInput(min_frequency=1, buckets=9))
    vocabulary.save(tmp_path / "words.json")
    again = WordVocabulary.load(tmp_path / "words.json")
    assert (again.words, again.settings, again.fingerprint) == (
        vocabulary.words,
        vocabulary.settings,
        vocabulary.fingerprint,
    )


@pytest.mark.parametrize("content", ["", "{", "[]", '{"words": ["a"]}', PAGE % "3", PAGE % "[3]", PAGE % '["a", "a"]'])
def test_a_broken_file_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "words.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(RunError, match=r"words\.json is not a readable vocabulary file"):
        WordVocabulary.load(path)
    with pytest.raises(RunError, match="there is no vocabulary file"):
        WordVocabulary.load(tmp_path / "other.json")


@pytest.mark.parametrize(
    ("setting", "said"),
    [({"shortest": 6}, "shortest must not exceed longest"), ({"buckets": 1}, "all n-grams the same")],
)
def test_impossible_settings_are_refused(setting: dict[str, int], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        WordInput.model_validate(setting)
