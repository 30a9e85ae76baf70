"""Laws of every tokenizer: the way back is exact, nobody types a special token, the same input gives the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clearhead.errors import ConfigurationError, DataError
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import Kind, TokenizerSettings
from clearhead.text.tokenizer import END, PAD, SPECIAL_PIECES, START, UNKNOWN, Tokenizer

LINES = [
    "A man in a blue shirt is standing on a ladder cleaning a window.",
    "Ein Mann in einem blauen Hemd steht auf einer Leiter und putzt ein Fenster.",
    "Two men, 24 and 31, don't look at the big fish; they look at each other!",
    "Zwei Männer (24 und 31) schauen sich an: »schöne Größe«.",
] * 3
KINDS: tuple[Kind, ...] = ("bpe", "unigram", "characters", "words", "bytes")
EXACT: tuple[Kind, ...] = ("bpe", "unigram", "bytes")
TRAPS = [
    "",
    " ",
    "   ",
    "  two  spaces ",
    "\ttab\t",
    "</s> <unk> <pad> <s> <0x41>",
    "</s>",
    "▁ typed ▁▁ marks▁",
    "\x10 \x100 \x101 \x10\x10",
    "漢字かな 한국어 😀👩‍👩‍👧 עִבְרִית",
    "e\u0301 é \ufffd \u2028 \x85 \x0c \r\n \x00",
    "ﬁ Ａ ǅ İ ẞ",
    "x" * 300,
    "!" * 300,
]


def learnt(kind: Kind, **changes: object) -> Tokenizer:
    return learn_tokenizer(TokenizerSettings.model_validate({"kind": kind, "vocabulary": 400} | changes), LINES)


TOKENIZERS = {kind: learnt(kind) for kind in KINDS}


@pytest.mark.parametrize("kind", EXACT)
@pytest.mark.parametrize("text", TRAPS)
def test_the_way_back_is_exact_where_text_is_a_trap(kind: Kind, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.decode(tokenizer.encode([text])) == [text]


@pytest.mark.parametrize("kind", EXACT)
@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
@settings(deadline=None, max_examples=150)
def test_the_way_back_is_exact_for_any_text(kind: Kind, texts: list[str]) -> None:
    tokenizer = TOKENIZERS[kind]
    assert tokenizer.decode(tokenizer.encode(texts)) == texts


@pytest.mark.parametrize("kind", KINDS)
@given(lines=st.lists(st.text(" aeinst.▁\x10\t", max_size=12), max_size=6), last=st.booleans())
@settings(deadline=None, max_examples=100)
def test_a_text_can_be_cut_line_by_line(kind: Kind, lines: list[str], last: bool) -> None:
    tokenizer, ended = TOKENIZERS[kind], [line + "\n" for line in lines]
    ended[-1:] = [line if last else line.removesuffix("\n") for line in ended[-1:]]
    whole = "".join(ended)
    (together,) = tokenizer.encode([whole])
    one_by_one = [index for row in tokenizer.encode(ended) for index in row]
    assert one_by_one == together
    if kind in EXACT:
        assert tokenizer.decode([together]) == [whole]


def test_line_ends_are_learnt_like_any_character() -> None:
    for kind in KINDS:
        tokenizer = learn_tokenizer(TokenizerSettings(kind=kind, vocabulary=400), [line + "\n" for line in LINES])
        (ids,) = tokenizer.encode([LINES[0] + "\n" + LINES[1]])
        assert tokenizer.decode([ids]) == [LINES[0] + "\n" + LINES[1]]
        if kind in ("bpe", "unigram"):
            assert ".\n" in tokenizer.vocabulary()


def test_bytes_are_the_bytes_of_the_text() -> None:
    tokenizer = TOKENIZERS["bytes"]
    assert tokenizer.size == 4 + 256
    (ids,) = tokenizer.encode(["é\n"])
    assert [index - 4 for index in ids] == list("é\n".encode())


@given(text=st.text("aeinst .,▁\x1001<>/", max_size=40), seed=st.integers(0, 1 << 40))
@settings(deadline=None, max_examples=150)
def test_the_way_back_is_exact_under_dropout(text: str, seed: int) -> None:
    tokenizer = TOKENIZERS["bpe"]
    assert tokenizer.decode(tokenizer.encode([text], dropout=0.4, seed=seed)) == [text]


@pytest.mark.parametrize("kind", ["characters", "words"])
def test_the_way_back_is_exact_inside_the_vocabulary(kind: Kind) -> None:
    tokenizer = learn_tokenizer(TokenizerSettings(kind=kind, min_frequency=1), [*LINES, "two  spaces"])
    texts = [*LINES, "A  man ", "  big fish;"]
    assert tokenizer.decode(tokenizer.encode(texts)) == texts


@pytest.mark.parametrize("kind", KINDS)
@given(parts=st.lists(st.sampled_from([*SPECIAL_PIECES, "<0x41>", "a", " ", "▁", "."]), max_size=8))
@settings(deadline=None, max_examples=60)
def test_no_text_becomes_a_special_token(kind: Kind, parts: list[str]) -> None:
    (ids,) = TOKENIZERS[kind].encode(["".join(parts)])
    assert not {PAD, START, END} & set(ids)
    assert kind not in EXACT or UNKNOWN not in ids


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_lines_give_the_same_bytes_in_another_process(hash_seed: str) -> None:
    code = (
        "from clearhead.text.learn import learn_tokenizer;"
        "from clearhead.text.settings import TokenizerSettings;"
        f"settings = [TokenizerSettings(kind=kind, vocabulary=400) for kind in {KINDS!r}];"
        f"print(*[learn_tokenizer(one, {LINES!r}).fingerprint for one in settings])"
    )
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
    other = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.split() == [TOKENIZERS[kind].fingerprint for kind in KINDS]
    assert other.stderr == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("vocabulary", [270, 300, 1000])
def test_vocabulary_is_an_upper_bound(kind: Kind, vocabulary: int) -> None:
    tokenizer = learnt(kind, vocabulary=vocabulary)
    assert tokenizer.size <= vocabulary
    assert tokenizer.vocabulary()[:4] == list(SPECIAL_PIECES)
    assert len(set(tokenizer.vocabulary())) == tokenizer.size


def test_pieces_are_readable_and_punctuation_stands_alone() -> None:
    tokenizer = TOKENIZERS["bpe"]
    pieces = tokenizer.pieces(tokenizer.encode(["ein, 24."])[0])
    assert pieces == ["▁ein", ",", "▁2", "4", "."]


def test_special_tokens_vanish_unknown_shows_and_broken_bytes_are_replaced() -> None:
    tokenizer = TOKENIZERS["bpe"]
    (ids,) = tokenizer.encode(["Ein Mann"])
    assert tokenizer.decode([[START, *ids, END, PAD, PAD]]) == ["Ein Mann"]
    assert tokenizer.decode([[*ids, UNKNOWN]]) == ["Ein Mann⁇"]
    lonely = tokenizer.vocabulary().index("<0xE6>")
    assert tokenizer.decode([[*ids, lonely]]) == ["Ein Mann\ufffd"]
    words = TOKENIZERS["words"]
    assert words.decode(words.encode(["Ein Elefant, Mann"])) == ["Ein ⁇, Mann"]


def test_lower_case_is_part_of_the_tokenizer() -> None:
    tokenizer = learnt("bpe", lowercase=True)
    assert tokenizer.decode(tokenizer.encode(["EIN Mann Äh"])) == ["ein mann äh"]


def test_an_id_outside_the_vocabulary_is_refused() -> None:
    tokenizer = TOKENIZERS["bpe"]
    for wrong in (-1, tokenizer.size):
        with pytest.raises(ConfigurationError, match=f"token id {wrong} is not in this vocabulary"):
            tokenizer.decode([[5, wrong]])
        with pytest.raises(ConfigurationError, match=f"token id {wrong} is not in this vocabulary"):
            tokenizer.pieces([wrong])


@pytest.mark.parametrize("kind", KINDS)
def test_a_lone_surrogate_is_refused(kind: Kind) -> None:
    with pytest.raises(DataError, match="text 2 of 2 holds a lone surrogate"):
        TOKENIZERS[kind].encode(["fine", "not \ud800 fine"])


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(DataError, match="text 2 of 2 should be a string, but it is int"):
        TOKENIZERS["bpe"].encode(["fine", 7])  # type: ignore[list-item]
