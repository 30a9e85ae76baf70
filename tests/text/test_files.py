"""Tokenizer files: what is saved is what is loaded, and a broken file is one sentence that names it, never a crash."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clearhead.errors import ConfigurationError, RunError
from clearhead.text.learn import learn_tokenizer
from clearhead.text.settings import TokenizerSettings
from clearhead.text.tokenizer import Tokenizer

LINES = ["the cat sat on the mat, 24 times", "der Hund läuft!"] * 4
KINDS = ("bpe", "unigram", "characters", "words", "bytes")


def learnt(kind: str) -> Tokenizer:
    return learn_tokenizer(TokenizerSettings.model_validate({"kind": kind, "vocabulary": 300}), LINES)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_is_loaded(kind: str, tmp_path: Path) -> None:
    tokenizer, path = learnt(kind), tmp_path / "deep" / "tokenizer.json"
    tokenizer.save(path)
    again = Tokenizer.load(path)
    assert again.fingerprint == tokenizer.fingerprint
    assert again.vocabulary() == tokenizer.vocabulary()
    texts = [*LINES, "</s> 漢 <unk>"]
    assert again.encode(texts) == tokenizer.encode(texts)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"there is no tokenizer file .*absent\.json"):
        Tokenizer.load(tmp_path / "absent.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}", b"[" * 100_000])
def test_what_is_no_tokenizer_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"broken\.json is not a readable tokenizer file"):
        Tokenizer.load(path)


def without_merge_piece(whole: dict[str, Any]) -> None:
    whole["model"]["vocab"].pop("".join(whole["model"]["merges"][0]))


def gap(whole: dict[str, Any]) -> None:
    vocabulary = whole["model"]["vocab"]
    last = max(vocabulary, key=vocabulary.get)
    vocabulary[last] += 1000


def other_first(whole: dict[str, Any]) -> None:
    for token in whole["added_tokens"]:
        token["special"] = False


def more_special(whole: dict[str, Any]) -> None:
    whole["added_tokens"].append({**whole["added_tokens"][0], "id": 20, "content": "cat"})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without_merge_piece, "not in the vocabulary"),
        (gap, "without gaps"),
        (other_first, "probably not made by clearhead"),
        (more_special, "probably not made by clearhead|without gaps"),
        (lambda whole: whole.pop("decoder"), "'decoder' is missing"),
        (lambda whole: whole["model"].update(type="WordPiece"), "'WordPiece'"),
        (lambda whole: whole["model"].update(unk_token="the"), "unknown piece is 'the'"),
        (lambda whole: whole["model"]["vocab"].pop("<0x41>"), "1 of the 256 byte pieces"),
        (lambda whole: whole["model"].update(merges=[["a"]]), "should be two pieces"),
        (lambda whole: whole["model"].update(end_of_word_suffix="x"), "marks pieces with 'x'"),
    ],
)
def test_a_damaged_part_is_named(change: Callable[[dict[str, Any]], object], sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.json"
    learnt("bpe").save(path)
    whole = json.loads(path.read_text(encoding="utf-8"))
    change(whole)
    path.write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(RunError, match=sentence) as caught:
        Tokenizer.load(path)
    assert str(path) in str(caught.value)


def scrambled(value: Any, chance: random.Random) -> Any:
    """A copy of ``value`` with a few parts replaced or missing."""
    if chance.random() < 0.02:
        return chance.choice([None, True, -1, 1e9, "", "x", [], {}, [[]], ["a"]])
    if isinstance(value, dict):
        return {key: scrambled(part, chance) for key, part in value.items() if chance.random() > 0.01}
    if isinstance(value, list):
        return [scrambled(part, chance) for part in value]
    return value


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_never_crash(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mutated.json"
    learnt(kind).save(path)
    whole = json.loads(path.read_text(encoding="utf-8"))
    chance, refused = random.Random(7), 0
    for _ in range(60):
        vocabulary = whole["model"].pop("vocab")
        mutated = scrambled(whole, chance)
        whole["model"]["vocab"] = vocabulary
        if isinstance(mutated, dict) and isinstance(mutated.get("model"), dict):
            mutated["model"]["vocab"] = vocabulary
        path.write_text(json.dumps(mutated), encoding="utf-8")
        try:
            tokenizer = Tokenizer.load(path)
            tokenizer.decode(tokenizer.encode(["the cat 漢 0", "</s>"]))
        except RunError:
            refused += 1
    assert refused > 10


def test_a_stranger_among_the_first_entries_is_refused() -> None:
    import tokenizers

    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "<unk>": 1}, "<unk>"))
    with pytest.raises(ConfigurationError, match="not made by clearhead"):
        Tokenizer(backend)
