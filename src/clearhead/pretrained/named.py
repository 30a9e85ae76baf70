"""The special symbols of a published model, from wherever its files name them.

Generation's own settings (generation_config.json) come before the model's (config.json), numbers before pieces
(tokenizer_config.json, special_tokens_map.json). What surrounds a text is what the tokenizer itself puts around one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers
from pydantic import ValidationError

from clearhead.errors import ConfigurationError
from clearhead.pretrained.directory import CONFIG, ModelDirectory
from clearhead.symbols import Symbols

GENERATION = "generation_config.json"
PIECES_FILES = ("special_tokens_map.json", "tokenizer_config.json")
ROLES = ("unk_token", "bos_token", "eos_token", "pad_token", "cls_token", "sep_token", "mask_token")


def pieces_of_roles(directory: ModelDirectory) -> dict[str, str]:
    """Which piece each role has, such as ``{"eos_token": "</s>"}``, as far as the files say."""
    found: dict[str, str] = {}
    for name in PIECES_FILES:
        table = directory.json(name) if directory.has(name) else {}
        for role in ROLES:
            value = table.get(role)
            value = value.get("content") if isinstance(value, dict) else value
            if isinstance(value, str):
                found[role] = value
    return found


def named_symbols(
    directory: ModelDirectory, roles: Mapping[str, str], numbers: Mapping[str, int], around: tuple[list[int], list[int]]
) -> Symbols:
    """The symbols of the model in ``directory``; ``around`` is what its tokenizer puts in front of a text and behind.

    Raises:
        ConfigurationError: a file gives a symbol that is no number, or the model has nothing to begin writing with.
    """
    tables = {GENERATION: directory.json(GENERATION)} if directory.has(GENERATION) else {}
    tables[CONFIG] = dict(directory.config)
    by_role = {role: numbers[piece] for role, piece in roles.items() if piece in numbers}

    def given(name: str) -> list[int]:
        file = next((file for file, table in tables.items() if table.get(name) is not None), CONFIG)
        return _ids(directory.path / file, name, tables[file].get(name))

    before, after = around
    ends = given("eos_token_id") or _one(by_role, "eos_token")
    pads = given("pad_token_id") or _one(by_role, "pad_token")
    begins = given("decoder_start_token_id") or given("bos_token_id") or _one(by_role, "bos_token")
    start = (begins or before[-1:] or ends or pads or [0])[0]
    pad = (pads or ends or [start])[0]  # what fills rows up is masked, so any id will do where none is named
    forced = given("forced_bos_token_id") if directory.config.get("is_encoder_decoder") else []
    never = [*given("suppress_tokens"), *_single_bad_words(directory, tables)]
    around_text = {pad, start, *ends, *before, *after, *forced}
    silent = around_text | {by_role[role] for role in by_role if role not in ("unk_token", "mask_token")}
    try:
        return Symbols(
            pad=pad,
            unknown=by_role.get("unk_token"),
            before=tuple(before),
            after=tuple(after),
            start=start,
            forced=tuple(forced),
            ends=tuple(ends),
            never=tuple(sorted(set(never))),
            silent=tuple(sorted(silent)),
        )
    except ValidationError as error:
        raise ConfigurationError(f"{directory.path}: special symbols: {error.errors()[0]['msg']}") from None


def surroundings(backend: tokenizers.Tokenizer) -> tuple[list[int], list[int]]:
    """What the tokenizer's own template puts in front of a text and behind it."""
    plain = backend.encode("a", add_special_tokens=False).ids
    whole = backend.encode("a", add_special_tokens=True).ids
    for start in range(len(whole) - len(plain) + 1):
        if whole[start : start + len(plain)] == plain:
            return whole[:start], whole[start + len(plain) :]
    return [], []


def _one(by_role: Mapping[str, int], role: str) -> list[int]:
    return [by_role[role]] if role in by_role else []


def _ids(file: Path, name: str, value: Any) -> list[int]:
    """One number or several as a list."""
    found = value if isinstance(value, list) else [] if value is None else [value]
    if not all(type(each) is int and 0 <= each < 1 << 31 for each in found):
        raise ConfigurationError(f"{file}: {name}: expected a token's number, got {value!r:.80}")
    return found


def _single_bad_words(directory: ModelDirectory, tables: Mapping[str, Mapping[str, Any]]) -> list[int]:
    """The tokens that must not be written; of sequences of several, none is forbidden by itself.

    Raises:
        ConfigurationError: a sequence of several tokens is forbidden, which no search here can heed.
    """
    file = next((file for file, table in tables.items() if table.get("bad_words_ids")), CONFIG)
    words: Any = tables[file].get("bad_words_ids") or []
    if not isinstance(words, list) or not all(isinstance(word, list) and len(word) == 1 for word in words):
        raise ConfigurationError(
            f"{directory.path / file}: bad_words_ids: expected lists of one token each, got {words!r:.80}; "
            "sequences of several tokens cannot be forbidden here"
        )
    return _ids(directory.path / file, "bad_words_ids", [word[0] for word in words])
