"""A finished run as a directory that the library transformers reads: config.json, weights, tokenizer.

Which family a model is, and by which names its tensors go, is ``pretrained.describe``'s; here are the run's file of
weights, its tokenizer, and the numbers of special symbols.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tokenizers
from tokenizers.processors import TemplateProcessing
from torch import Tensor

from clearhead.errors import RunError
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
Files = Mapping[str, Sequence[bytes | memoryview]]
MASKS = ("[MASK]", "<mask>")
LABELS = {"labels.json": "labels", "tags.json": "tags"}


@dataclass(frozen=True, slots=True)
class Written:
    """What a target makes of a run: as what it is written, the files by name, and what there is to be told of it."""

    kind: str
    files: Files
    notes: tuple[str, ...] = ()


def huggingface(run: RunFolder, family: str | None) -> Written:
    """The run as a directory of one of the families.

    Raises:
        ConfigurationError: no family of published models has such a model; what is in the way is named.
        RunError: the run is not finished, or damaged.
    """
    card = run.card()
    published = publish(card.model, _weights(run, card.weights_sha256), family, run.family())
    settings, notes = published.settings | _names(run, published), []
    if card.task == "multilabel":
        settings["problem_type"] = "multi_label_classification"
    files: Files = {}
    if (written := _writes_with(run)) is not None:
        settings = special_ids(written.symbols, card.model) | _at_the_limit(run, written.symbols, card.model) | settings
        if (file := _one_file(run)) is None:
            notes.append("its tokenizer is left out: two sides, or pieces that are numbered by a second list")
        else:
            files = _tokenizer_files(file, written, card.model)
    weights = list(tensor_pieces(published.tensors, {"format": "pt"}))
    files = {**files, "config.json": [_json(settings)], "model.safetensors": weights}
    return Written(published.family, files, tuple(notes))


def special_ids(symbols: Symbols, config: ModelConfig) -> dict[str, Any]:
    """What a published config.json says of special symbols."""
    ends = list(symbols.ends)
    ids: dict[str, Any] = {"pad_token_id": symbols.pad}
    if config.architecture == "encoder":
        return ids
    if ends:
        ids["eos_token_id"] = ends[0] if len(ends) == 1 else ends
    if symbols.never:
        ids["bad_words_ids"] = [[never] for never in symbols.never]
    if config.architecture == "decoder":
        return ids | {"bos_token_id": symbols.start}
    forced = {"forced_bos_token_id": symbols.forced[0]} if symbols.forced else {}
    return ids | forced | {"decoder_start_token_id": symbols.start}


def _at_the_limit(run: RunFolder, symbols: Symbols, config: ModelConfig) -> dict[str, Any]:
    """Whether an output that is cut off at its limit is made to end there: some families do so unless they are told."""
    if config.architecture != "encoder-decoder":
        return {}
    ends = run.recipe().answering().get("decoding", {}).get("end_at_limit", False)
    return {"forced_eos_token_id": symbols.ends[0] if ends and symbols.ends else None}


def _weights(run: RunFolder, sha256: str | None) -> Mapping[str, Tensor]:
    if not run.weights_file.is_file():
        raise RunError(f"{run.path} has no {run.weights_file.name}: its training is not finished; go on with --resume")
    if sha256 is not None and digest_of(run.weights_file).sha256 != sha256:
        raise RunError(f"{run.weights_file} is damaged: its SHA-256 is not the one recorded in config.json")
    return read_tensors(run.weights_file)


def _writes_with(run: RunFolder) -> Tokenizer | None:
    """The tokenizer of what the model writes, or reads where it writes nothing; None where there is none."""
    folder = run.path / "tokenizer"
    names = ("target.json", *INPUT)
    found = next((folder / name for name in names if (folder / name).is_file()), None)
    return None if found is None else load_tokenizer(found)


def _one_file(run: RunFolder) -> Path | None:
    """The file of the one tokenizer there is; None where there are two, or one that does not number its own pieces."""
    found = (run.path / "tokenizer" / name for name in INPUT)
    file = next((path for path in found if path.is_file()), None)
    return None if file is None or read_json(file, max_bytes=LARGEST).get("numbers") else file


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


def _tokenizer_files(file: Path, tokenizer: Tokenizer, config: ModelConfig) -> Files:
    table = read_json(file, max_bytes=LARGEST)
    own = "format" not in table
    backend = tokenizers.Tokenizer.from_str(json.dumps(table if own else table["tokenizer"]))
    symbols = tokenizer.symbols
    if own:  # what is translated ends with the end symbol; any other text of the house's begins with the start symbol
        start, end = SPECIAL_PIECES[symbols.start], SPECIAL_PIECES[symbols.ends[0]]
        single = f"$A {end}" if config.architecture == "encoder-decoder" else f"{start} $A"
        specials = [(start, symbols.start), (end, symbols.ends[0])]
        backend.post_processor = TemplateProcessing(single=single, special_tokens=specials)
    named = roles(symbols, config)
    pieces = {name: backend.id_to_token(number) for name, number in named.items()}
    pieces["mask_token"] = next((piece for piece in MASKS if backend.token_to_id(piece) is not None), None)
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config.max_positions}
    settings |= {name: piece for name, piece in pieces.items() if piece is not None}
    return {"tokenizer.json": [backend.to_str(pretty=True).encode()], "tokenizer_config.json": [_json(settings)]}


def roles(symbols: Symbols, config: ModelConfig) -> dict[str, int]:
    """The numbers of special pieces by the names that published tokenizers have for what they do."""
    found: dict[str, int | None] = {"pad_token": symbols.pad, "unk_token": symbols.unknown}
    if config.architecture == "encoder":
        found["cls_token"] = symbols.before[0] if symbols.before else None
        found["sep_token"] = symbols.after[-1] if symbols.after else None
    else:
        found["bos_token"] = symbols.start
        found["eos_token"] = symbols.ends[0] if symbols.ends else None
    return {name: number for name, number in found.items() if number is not None}


def _json(table: Mapping[str, Any]) -> bytes:
    return (json.dumps(table, indent=2, ensure_ascii=False) + "\n").encode()
