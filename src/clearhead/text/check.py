"""Looks over a tokenizer file before the library does, which takes some broken ones for good and panics at others.

It checks what the rest of this room relies on: the parts are there, what is unknown has its piece, and every merge
joins pieces of the vocabulary. It does not judge how good a vocabulary is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

UNKNOWN_PIECE = "<unk>"
UNKNOWN_ID = 1


def check_parts(whole: Any) -> None:
    """``whole``: the parsed JSON of a tokenizer file.

    Raises:
        ValueError: with a sentence about the first part that is wrong.
    """
    _expect(isinstance(whole, dict), "it should hold one JSON object")
    for part in ("model", "normalizer", "pre_tokenizer", "decoder"):
        _expect(isinstance(whole.get(part), dict), f"its part {part!r} is missing")
    model = whole["model"]
    kind = model.get("type")
    _expect(kind in _CHECKS, f"its model is {kind!r}, expected one of {', '.join(_CHECKS)}")
    _CHECKS[kind](model)


def _check_bpe(model: dict[str, Any]) -> None:
    _check_word_level(model)
    affixes = model.get("continuing_subword_prefix") or model.get("end_of_word_suffix")
    _expect(not affixes, f"it marks pieces with {affixes!r}, expected only the mark in front of words")
    merges = model.get("merges")
    _expect(isinstance(merges, list), "its merges are missing")
    for merge in merges or ():
        pair = isinstance(merge, list) and len(merge) == 2 and all(isinstance(piece, str) for piece in merge)
        _expect(pair, f"a merge should be two pieces, not {merge!r}")
        for piece in (*merge, "".join(merge)):
            _expect(piece in model["vocab"], f"the merge {merge!r} needs {piece!r}, which is not in the vocabulary")
    _check_bytes(model, model["vocab"])


def _check_unigram(model: dict[str, Any]) -> None:
    vocabulary = model.get("vocab")
    _expect(isinstance(vocabulary, list), "its vocabulary is missing")
    for entry in vocabulary or ():
        scored = isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], str)
        _expect(
            scored and type(entry[1]) in (int, float), f"a vocabulary entry should be [piece, score], not {entry!r}"
        )
    _expect(model.get("unk_id") == UNKNOWN_ID, f"its unknown id is {model.get('unk_id')!r}, expected {UNKNOWN_ID}")
    _check_bytes(model, {piece for piece, _ in vocabulary or ()})


def _check_word_level(model: dict[str, Any]) -> None:
    vocabulary = model.get("vocab")
    _expect(isinstance(vocabulary, dict), "its vocabulary is missing")
    _expect((vocabulary or {}).get(UNKNOWN_PIECE) == UNKNOWN_ID, f"its vocabulary lacks {UNKNOWN_PIECE!r}")
    unknown = model.get("unk_token")
    _expect(unknown == UNKNOWN_PIECE, f"its unknown piece is {unknown!r}, expected {UNKNOWN_PIECE!r}")


_CHECKS: dict[Any, Callable[[dict[str, Any]], None]] = {
    "BPE": _check_bpe,
    "Unigram": _check_unigram,
    "WordLevel": _check_word_level,
}


def _check_bytes(model: dict[str, Any], vocabulary: Any) -> None:
    if model.get("byte_fallback"):
        missing = [byte for byte in range(256) if f"<0x{byte:02X}>" not in vocabulary]
        _expect(not missing, f"it falls back to bytes, but {len(missing)} of the 256 byte pieces are missing")


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ValueError(otherwise)
