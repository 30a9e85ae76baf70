"""A finished run as a directory that the library transformers reads: config.json, weights, tokenizer.

Which family a model is, and by which names its tensors go, is ``pretrained.describe``'s; here are the run's file of
weights, its tokenizer, and the numbers of special symbols.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from clearhead.errors import ConfigurationError, RunError
from clearhead.models.config import ModelConfig
from clearhead.pretrained.describe import Publication, publish
from clearhead.service.run_folder import RunFolder
from clearhead.strict_json import read_json
from clearhead.symbols import Symbols
from clearhead.text.foreign import load_tokenizer
from clearhead.text.tokenizer import SPECIAL_PIECES, Tokenizer
from clearhead.training.durable import digest_of
from clearhead.training.tensorfile import read_tensors, tensor_pieces

LARGEST = 256 << 20  # bytes of a tokenizer's file
INPUT = ("pieces.json", "shared.json")  # the names under which tasks keep the tokenizer of their input
LABELS = {"labels.json": "labels", "tags.json": "tags"}


def huggingface(run: RunFolder, family: str | None) -> tuple[str, dict[str, Sequence[bytes | memoryview]]]:
    """The family it is written as, and the files by name.

    Raises:
        ConfigurationError: no family of published models has such a model; what is in the way is named.
        RunError: the run is not finished, or damaged.
    """
    card = run.card()
    published = publish(card.model, _weights(run, card.weights_sha256), family)
    tokenizer = _tokenizer(run)
    settings = published.settings | _names(run, published)
    files: dict[str, Sequence[bytes | memoryview]] = {}
    if tokenizer is not None:
        settings = special_ids(tokenizer.symbols, published) | settings
        files |= _tokenizer_files(run, tokenizer, card.model)
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
    found = _file(run)
    return None if found is None else load_tokenizer(found)


def _file(run: RunFolder) -> Path | None:
    found = (run.path / "tokenizer" / name for name in INPUT)
    return next((path for path in found if path.is_file()), None)


def _names(run: RunFolder, published: Publication) -> dict[str, Any]:
    """The names of the classes, where the run has them and the family asks for them."""
    if "id2label" not in published.settings:
        return {}
    for file, key in LABELS.items():
        path = run.path / "tokenizer" / file
        if path.is_file():
            names = read_json(path, max_bytes=LARGEST)[key]
            return {
                "id2label": {str(number): name for number, name in enumerate(names)},
                "label2id": {name: number for number, name in enumerate(names)},
            }
    return {}


def _tokenizer_files(
    run: RunFolder, tokenizer: Tokenizer, config: ModelConfig
) -> dict[str, Sequence[bytes | memoryview]]:
    file = _file(run)
    assert file is not None
    table = read_json(file, max_bytes=LARGEST)
    own = "format" not in table
    backend = tokenizers.Tokenizer.from_str(json.dumps(table if own else table["tokenizer"]))
    symbols = tokenizer.symbols
    if own:  # a text of the house's begins with the start symbol, whether it is read whole or gone on with
        start = SPECIAL_PIECES[symbols.start]
        backend.post_processor = TemplateProcessing(single=f"{start} $A", special_tokens=[(start, symbols.start)])
    named = {"pad_token": symbols.pad, "unk_token": symbols.unknown, "bos_token": symbols.start}
    named["eos_token"] = symbols.ends[0]
    pieces = {name: backend.id_to_token(number) for name, number in named.items() if number is not None}
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.max_positions}
    settings |= {name: piece for name, piece in pieces.items() if piece is not None}
    return {"tokenizer.json": [backend.to_str(pretty=True).encode()], "tokenizer_config.json": [_json(settings)]}


def _json(table: Mapping[str, Any]) -> bytes:
    return (json.dumps(table, indent=2, ensure_ascii=False) + "\n").encode()
