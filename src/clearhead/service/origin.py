"""What a run may start from: a finished run, or a directory of a published model; read, checked, and copied out of.

Either is known by its sizes, by how its input becomes ids, and by writing weights and tokenizers into a folder. What a
new task makes of it is ``service.start``'s affair.
"""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

import torch

from clearhead.errors import RunError
from clearhead.models.config import ModelConfig
from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.read import understand
from clearhead.pretrained.tokenizer import read_tokenizers
from clearhead.recipes.recipe_model import Table
from clearhead.service.run_folder import RunFolder
from clearhead.symbols import HOUSE, Symbols
from clearhead.text.foreign import load_tokenizer
from clearhead.training.durable import digest_of, replace_file, write_file
from clearhead.training.tensorfile import read_tensors, tensor_pieces
from clearhead.training.weights import weights_of

WEIGHTS, TOKENIZERS = "model.safetensors", "tokenizer"
HALVES = (torch.float16, torch.bfloat16)
PIECES = ("pieces.json", "shared.json", "source.json")  # the names under which tasks keep the tokenizer of their input
UNTOLD = ("subword_dropout", "subword_samples")  # how training texts were cut at random is no property of a model


class Origin(ABC):
    """A model that can be started from."""

    config: ModelConfig
    task: str | None  # that it was trained for; None where that is not ours to say
    family: str | None  # of published models that it came from, however often it was trained since

    @property
    @abstractmethod
    def symbols(self) -> Symbols:
        """The special symbols of what it reads."""

    @abstractmethod
    def reading(self) -> dict[str, Table]:
        """How its input becomes ids, as the tables "input" and "tokenizer" of a recipe, as far as it has them."""

    @abstractmethod
    def copy(self, folder: Path) -> None:
        """Write its weights, in float32, and its tokenizers into ``folder``.

        Raises:
            RunError: they are damaged.
            OSError: they cannot be written.
        """


@dataclass(frozen=True)
class FinishedRun(Origin):
    """One of our own runs."""

    run: RunFolder
    config: ModelConfig
    task: str | None
    family: str | None

    @property
    def symbols(self) -> Symbols:
        """Those of its tokenizer; the house's where words are whole."""
        names = [name for name in PIECES if (self.run.path / TOKENIZERS / name).is_file()]
        return load_tokenizer(self.run.path / TOKENIZERS / names[0]).symbols if names else HOUSE

    def reading(self) -> dict[str, Table]:
        """As its recipe says."""
        if not self.run.recipe_file.is_file():
            return {"input": {"kind": "pieces"}}
        table = self.run.recipe().as_table()
        tokenizer: Table | None = table.get("tokenizer")
        tables: dict[str, Table] = {"input": table.get("input", {"kind": "pieces"})}
        if tokenizer is not None:
            tables["tokenizer"] = {key: value for key, value in tokenizer.items() if key not in UNTOLD}
        return tables

    def copy(self, folder: Path) -> None:
        """The files as they are, the weights compared with their checksum, and half precision made float32."""
        weights, expected = self.run.weights_file, self.run.card().weights_sha256
        shutil.copyfile(weights, folder / WEIGHTS)
        found = digest_of(folder / WEIGHTS).sha256
        if expected is not None and found != expected:
            raise RunError(
                f"{weights} is damaged: expected SHA-256 {expected[:12]}… as recorded in config.json, got "
                f"{found[:12]}…; nothing can be started from it"
            )
        tensors = read_tensors(folder / WEIGHTS)
        if any(tensor.dtype in HALVES for tensor in tensors.values()):
            wide = {name: each.float() if each.dtype in HALVES else each for name, each in tensors.items()}
            replace_file(folder / WEIGHTS, tensor_pieces(wide))
        shutil.copytree(self.run.path / TOKENIZERS, folder / TOKENIZERS, copy_function=shutil.copyfile)


@dataclass(frozen=True)
class PublishedModel(Origin):
    """A directory with ``config.json`` of another library, safetensors and a tokenizer."""

    directory: ModelDirectory
    config: ModelConfig
    family: str | None
    task: str | None = None

    @property
    def symbols(self) -> Symbols:
        """Those that its files name."""
        return read_tokenizers(self.directory, (self.config.source_vocabulary, self.config.target_vocabulary))[
            0
        ].symbols

    def reading(self) -> dict[str, Table]:
        """Pieces, cut by a tokenizer that no recipe describes."""
        return {"input": {"kind": "pieces"}}

    def copy(self, folder: Path) -> None:
        """The weights under our names."""
        model = understand(self.directory).build().float()
        write_file(folder / WEIGHTS, tensor_pieces(weights_of(model)))
        sizes = (self.config.source_vocabulary, self.config.target_vocabulary)
        source, target = read_tokenizers(self.directory, sizes)
        if source is target:
            source.save(folder / TOKENIZERS / "shared.json")
        else:
            source.save(folder / TOKENIZERS / "source.json")
            target.save(folder / TOKENIZERS / "target.json")


def open_origin(where: str) -> Origin:
    """The model in the folder ``where``.

    Raises:
        RunError: there is none, or it is damaged or not finished.
        ConfigurationError: a published model is of a family, or has a setting, that is not known here.
    """
    path = Path(where)
    if not path.is_dir():
        raise RunError(f"{where} cannot be started from: there is no such folder")
    if (path / "recipe.toml").is_file() or _is_card(path / "config.json"):
        run = RunFolder(path)
        card = run.card()
        if not run.weights_file.is_file():
            raise RunError(f"{where} cannot be started from: it has no {WEIGHTS}, so it is not finished")
        return FinishedRun(run, card.model, card.task, run.family())
    directory = ModelDirectory.open(path)
    source = understand(directory)
    return PublishedModel(directory, source.config, source.family.name)


def _is_card(path: Path) -> bool:
    """Whether this is the ``config.json`` of one of our runs."""
    try:
        with path.open("rb") as file:
            return b'"clearhead-run"' in file.read(200)
    except OSError:
        return False
