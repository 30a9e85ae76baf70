"""Learn a vocabulary from lines of text: byte-pair encoding, unigram, characters, words, or none for bytes.

The lines are read once, as a stream; the kinds that need to see them twice (to choose the alphabet before the
pieces) keep them in a temporary file, not in memory. The same lines give the same tokenizer, to the byte. This file
does not know where lines come from.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any

import tokenizers
from tokenizers import AddedToken, models, trainers

from clearhead.errors import DataError
from clearhead.text import pipeline
from clearhead.text.settings import Kind, TokenizerSettings
from clearhead.text.tokenizer import SPECIAL_PIECES, UNKNOWN, Tokenizer
from clearhead.text.unigram import learn_unigram

_UNKNOWN_PIECE = SPECIAL_PIECES[UNKNOWN]
# Bounds memory on any corpus; the words given up at this size are far too rare for a vocabulary.
_MOST_WORDS = 3_000_000
_BYTE_PIECES = [f"<0x{byte:02X}>" for byte in range(256)]


def learn_tokenizer(settings: TokenizerSettings, lines: Iterable[str]) -> Tokenizer:
    """A tokenizer of at most ``settings.vocabulary`` entries, learnt from ``lines`` (the training side only).

    Raises:
        DataError: there is no text in ``lines``.
    """
    return Tokenizer(_LEARNERS[settings.kind](settings, lines))


def _learn_characters(settings: TokenizerSettings, lines: Iterable[str]) -> tokenizers.Tokenizer:
    backend = _empty(settings, models.WordLevel({}, _UNKNOWN_PIECE))
    counts = _count_characters(backend, lines)
    return _finish(backend, _word_level(_most_frequent(counts, settings, settings.vocabulary - settings.reserved)))


def _learn_words(settings: TokenizerSettings, lines: Iterable[str]) -> tokenizers.Tokenizer:
    backend = _empty(settings, models.WordLevel({}, _UNKNOWN_PIECE))
    counts = _count_words(backend, lines)
    return _finish(backend, _word_level(_most_frequent(counts, settings, settings.vocabulary - settings.reserved)))


def _learn_bpe(settings: TokenizerSettings, lines: Iterable[str]) -> tokenizers.Tokenizer:
    backend = _empty(settings, models.BPE(unk_token=_UNKNOWN_PIECE))
    reserved = _reserved_pieces(settings)
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocabulary,
        min_frequency=settings.min_frequency,
        special_tokens=reserved,
        show_progress=False,
    )
    model = _train(backend, trainer, settings, lines)
    return _finish(backend, {**model, "byte_fallback": settings.has_bytes})


def _learn_unigram(settings: TokenizerSettings, lines: Iterable[str]) -> tokenizers.Tokenizer:
    backend = _empty(settings, models.Unigram())
    words = _count_words(backend, lines)
    characters: Counter[str] = Counter()
    for word, count in words.items():
        for character in word:
            characters[character] += count
    room = settings.vocabulary - settings.reserved
    alphabet = _most_frequent(characters, settings, (room + 1) // 2)
    pieces = learn_unigram(_inside(words, alphabet), room, alphabet)
    vocabulary = [(piece, 0.0) for piece in _reserved_pieces(settings)] + pieces
    model = {"type": "Unigram", "vocab": vocabulary, "unk_id": UNKNOWN, "byte_fallback": settings.has_bytes}
    return _finish(backend, model)


def _learn_bytes(settings: TokenizerSettings, lines: Iterable[str]) -> tokenizers.Tokenizer:
    backend = _empty(settings, models.BPE(unk_token=_UNKNOWN_PIECE))
    _refuse_nothing(any(lines))
    vocabulary = {piece: index for index, piece in enumerate(_reserved_pieces(settings))}
    model: dict[str, Any] = json.loads(backend.to_str())["model"]
    return _finish(backend, {**model, "vocab": vocabulary, "merges": [], "byte_fallback": True})


_LEARNERS: dict[Kind, Callable[[TokenizerSettings, Iterable[str]], tokenizers.Tokenizer]] = {
    "bpe": _learn_bpe,
    "unigram": _learn_unigram,
    "characters": _learn_characters,
    "words": _learn_words,
    "bytes": _learn_bytes,
}


def _empty(settings: TokenizerSettings, model: Any) -> tokenizers.Tokenizer:
    backend = tokenizers.Tokenizer(model)
    backend.normalizer = pipeline.normalizer(settings.kind, settings.lowercase)
    backend.pre_tokenizer = pipeline.pre_tokenizer(settings.kind)
    backend.decoder = pipeline.decoder(settings.kind, _UNKNOWN_PIECE)
    return backend


def _finish(backend: tokenizers.Tokenizer, model: dict[str, Any]) -> tokenizers.Tokenizer:
    """The same pipeline around ``model``, with the four special pieces, and no others, marked as special."""
    whole = json.loads(backend.to_str())
    finished = tokenizers.Tokenizer.from_str(json.dumps({**whole, "model": model, "added_tokens": []}))
    finished.add_special_tokens([AddedToken(piece, special=True, normalized=False) for piece in SPECIAL_PIECES])
    return finished


def _train(
    backend: tokenizers.Tokenizer, trainer: Any, settings: TokenizerSettings, lines: Iterable[str]
) -> dict[str, Any]:
    """Two passes: choose the alphabet, then learn pieces over it. Characters outside it become bytes or unknown."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", newline="\n") as spool:
        counts = _count_characters(backend, _copied(lines, spool))
        alphabet = _most_frequent(counts, settings, (settings.vocabulary - settings.reserved + 1) // 2)
        outside = dict.fromkeys(map(ord, counts.keys() - set(alphabet)))
        spool.seek(0)
        # A space is counted as its mark, so it is never among the characters taken out here.
        backend.train_from_iterator((json.loads(line).translate(outside) for line in spool), trainer)
    model: dict[str, Any] = json.loads(backend.to_str())["model"]
    return model


def _copied(lines: Iterable[str], spool: Any) -> Iterator[str]:
    for line in lines:
        spool.write(json.dumps(line, ensure_ascii=False) + "\n")  # a text may hold line ends of its own
        yield line


def _count_characters(backend: tokenizers.Tokenizer, lines: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for line in lines:
        counts.update(backend.normalizer.normalize_str(line))
    _refuse_nothing(bool(counts))
    return counts


def _count_words(backend: tokenizers.Tokenizer, lines: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for line in lines:
        words = backend.pre_tokenizer.pre_tokenize_str(backend.normalizer.normalize_str(line))
        counts.update(word for word, _ in words)
        least = 1
        while len(counts) > _MOST_WORDS:
            least += 1
            counts = Counter({word: count for word, count in counts.items() if count >= least})
    _refuse_nothing(bool(counts))
    return counts


def _inside(words: Counter[str], alphabet: Collection[str]) -> Counter[str]:
    """The words cut at every character outside ``alphabet``."""
    borders = {ord(character): "\0" for word in words for character in word if character not in alphabet}
    counts: Counter[str] = Counter()
    for word, count in words.items():
        for part in word.translate(borders).split("\0"):
            counts[part] += count
    del counts[""]
    return counts


def _most_frequent(counts: Counter[str], settings: TokenizerSettings, room: int) -> list[str]:
    """The most frequent entries seen at least ``min_frequency`` times, ties in code point order."""
    frequent = [(-count, entry) for entry, count in counts.items() if count >= settings.min_frequency]
    return [entry for _, entry in sorted(frequent)[:room]]


def _word_level(entries: list[str]) -> dict[str, Any]:
    vocabulary = {piece: index for index, piece in enumerate([*SPECIAL_PIECES, *entries])}
    return {"type": "WordLevel", "vocab": vocabulary, "unk_token": _UNKNOWN_PIECE}


def _reserved_pieces(settings: TokenizerSettings) -> list[str]:
    return [*SPECIAL_PIECES, *(_BYTE_PIECES if settings.has_bytes else [])]


def _refuse_nothing(something: bool) -> None:
    if not something:
        raise DataError("there is no text to learn a vocabulary from: every line is empty, or there are no lines")
