"""A finished run as a directory that the library transformers reads: config.json, weights, tokenizer.

Which family a model is, and by which names its tensors go, is ``pretrained.describe``'s; here are the run's file of
weights, its tokenizer, and the numbers of special symbols.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from clearhead.errors import ConfigurationError, RunError
from clearhead.pretrained.describe import Publication, publish
from clearhead.service.run_folder import RunFolder
from clearhead.strict_json import read_json
from clearhead.symbols import Symbols
from clearhead.text.tokenizer import SPECIAL_PIECES, Tokenizer
from clearhead.training.durable import digest_of
from clearhead.training.tensorfile import read_tensors, tensor_pieces

LARGEST = 256 << 20  # bytes of a tokenizer's file
SHARED = "shared.json"


def huggingface(run: RunFolder, family: str | None) -> tuple[str, dict[str, Sequence[bytes | memoryview]]]:
    """The family it is written as, and the files by name.

    Raises:
        ConfigurationError: no family of published models has such a model; what is in the way is named.
        RunError: the run is not finished, or damaged.
    """
    card = run.card()
    published = publish(card.model, _weights(run, card.weights_sha256), family)
    tokenizer = _tokenizer(run)
    settings = published.settings
    files: dict[str, Sequence[bytes | memoryview]] = {}
    if tokenizer is not None:
        settings = special_ids(tokenizer.symbols, published) | settings
        files |= _tokenizer_files(run, tokenizer, card.model.max_positions, writes=card.model.architecture == "decoder")
    files["config.json"] = [_json(settings)]
    files["model.safetensors"] = list(tensor_pieces(published.tensors, {"format": "pt"}))
    return published.family, files


def special_ids(symbols: Symbols, published: Publication) -> dict[str, Any]:
    """What a published config.json says of special symbols."""
    ends = list(symbols.ends)
    ids: dict[str, Any] = {"pad_token_id": symbols.pad}
    if "For" in published.settings["architectures"][0] and "MaskedLM" not in published.settings["architectures"][0]:
        ids |= {"bos_token_id": symbols.start, "eos_token_id": ends[0] if len(ends) == 1 else ends}
    return ids


def _weights(run: RunFolder, sha256: str | None) -> Mapping[str, Tensor]:
    if not run.weights_file.is_file():
        raise RunError(f"{run.path} has no {run.weights_file.name}: its training is not finished; go on with --resume")
    if sha256 is not None and digest_of(run.weights_file).sha256 != sha256:
        raise RunError(f"{run.weights_file} is damaged: its SHA-256 is not the one recorded in config.json")
    return read_tensors(run.weights_file)


def _tokenizer(run: RunFolder) -> Tokenizer | None:
    """The run's one tokenizer; None where its inputs are not cut by one.

    Raises:
        ConfigurationError: it has two, which these families have no place for.
    """
    folder = run.path / "tokenizer"
    if (folder / "source.json").exists():
        raise ConfigurationError(f"{run.path} has a tokenizer for each side, but these families have one for both")
    return run.tokenizers()[0] if (folder / SHARED).exists() else None


def _tokenizer_files(
    run: RunFolder, tokenizer: Tokenizer, longest: int, *, writes: bool
) -> dict[str, list[bytes | memoryview]]:
    table = read_json(run.path / "tokenizer" / SHARED, max_bytes=LARGEST)
    backend = tokenizers.Tokenizer.from_str(json.dumps(table.get("tokenizer", table) if "format" in table else table))
    symbols = tokenizer.symbols
    if "format" not in table and writes:  # a language model of the house begins a text with the start symbol
        start = SPECIAL_PIECES[symbols.start]
        backend.post_processor = TemplateProcessing(single=f"{start} $A", special_tokens=[(start, symbols.start)])
    named = {
        "pad_token": symbols.pad,
        "unk_token": symbols.unknown,
        "bos_token": symbols.start,
        "eos_token": symbols.ends[0],
    }
    pieces = {name: backend.id_to_token(number) for name, number in named.items() if number is not None}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": longest}
    settings |= {name: piece for name, piece in pieces.items() if piece is not None}
    return {"tokenizer.json": [backend.to_str(pretty=True).encode()], "tokenizer_config.json": [_json(settings)]}


def _json(table: Mapping[str, Any]) -> bytes:
    return (json.dumps(table, indent=2, ensure_ascii=False) + "\n").encode()
