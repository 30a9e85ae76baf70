"""The model that a run starts from: brought into the run folder whole, so that the run never needs it again.

``RUN/start`` holds its weights, its tokenizers, and ``start.json`` with its sizes; when training is over only the page
is left, which says by path and checksum what it was. A head of labels is new, unless task and labels are the very same;
everything below it, and all of a translator or language model, starts from what was learnt before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from clearhead.errors import ConfigurationError, RunError
from clearhead.models.config import ModelConfig
from clearhead.recipes.read import parse_recipe
from clearhead.recipes.recipe_model import Table, completed
from clearhead.recipes.schema import COUNTED, Recipe
from clearhead.recipes.table import RECIPES
from clearhead.recipes.vectors import VectorRecipe
from clearhead.service.origin import PIECES, WEIGHTS, open_origin
from clearhead.service.run_folder import RunFolder, write_text
from clearhead.strict_json import read_json
from clearhead.symbols import HOUSE
from clearhead.text.foreign import load_tokenizer
from clearhead.text.tokenizer import Tokenizer
from clearhead.text.words import WordVocabulary
from clearhead.training import durable
from clearhead.training.tensorfile import read_tensors
from clearhead.training.weights import weights_of

FOLDER, PAGE = "start", "start.json"
WORDS = "words.json"
OF_INPUT = frozenset({"ngram_buckets", "input_width"})  # sizes of a model that follow from how its input is read
UNPOOLED = frozenset({"tagging", "vector-tagging"})
READING = frozenset({"tagging", "classification", "multilabel"})  # tasks whose recipes say how words or texts are read


@dataclass(frozen=True)
class Start:
    """What lies in ``RUN/start``."""

    path: Path

    @classmethod
    def of(cls, run: RunFolder) -> Start | None:
        """That of ``run``, where there is one."""
        start = cls(run.path / FOLDER)
        return start if (start.path / PAGE).is_file() else None

    @property
    def facts(self) -> dict[str, Any]:
        """Where it came from, and the checksum of its weights."""
        return read_json(self.path / PAGE)

    @property
    def told(self) -> dict[str, Any]:
        """What a report says of it."""
        facts = self.facts
        family = {"family": facts["family"]} if facts.get("family") else {}
        return {name: facts.get(name) for name in ("origin", "weights_sha256")} | family

    @property
    def identity(self) -> dict[str, str]:
        """What must not change over a resume."""
        return {"model.from": str(self.facts.get("weights_sha256"))}

    @property
    def tokenizers(self) -> tuple[Tokenizer, Tokenizer]:
        """Those of source and target, one and the same when shared."""
        return RunFolder(self.path).tokenizers()

    def tokenizer(self) -> Tokenizer:
        """That of the input side.

        Raises:
            RunError: there is none, or it is damaged.
        """
        folder = self.path / "tokenizer"
        name = next((name for name in PIECES if (folder / name).is_file()), PIECES[0])
        return load_tokenizer(folder / name)

    def words(self) -> WordVocabulary:
        """The vocabulary of whole words.

        Raises:
            RunError: there is none, or it is damaged.
        """
        return WordVocabulary.load(self.path / "tokenizer" / WORDS)

    def fill(self, model: nn.Module, config: ModelConfig, labels: tuple[str, Sequence[str]] | None = None) -> None:
        """Copy the weights into ``model``, built from ``config``; nothing is done where they are gone, training over.

        ``labels``: the task and the names of its labels; the head is filled, too, where the other run has the same.

        Raises:
            RunError: the weights are damaged, or not of this model.
        """
        weights, facts = self.path / WEIGHTS, self.facts
        if not weights.is_file():
            return
        if durable.digest_of(weights).sha256 != facts["weights_sha256"]:
            raise RunError(f"{weights} is damaged: it is not the file that was brought here; begin anew")
        source = ModelConfig.model_validate(facts["model"])
        whole = source.architecture != "encoder" and source.architecture == config.architecture
        pooled = source.pooling == config.pooling
        same_head = pooled and labels is not None and labels == self._labels(facts["task"])
        parts = ("",) if whole or same_head else ("encoder.", "pooling.") if pooled else ("encoder.",)
        wanted = [name for name in weights_of(model) if name.startswith(parts)]
        tensors = read_tensors(weights)
        _copy(model, {name: _found(tensors, name, source, weights) for name in wanted}, self.path)

    def _labels(self, task: str | None) -> tuple[str | None, tuple[str, ...]] | None:
        """Task and labels of the other run, where it has labels."""
        for name, key in (("tags.json", "tags"), ("labels.json", "labels"), ("vectors.json", "labels")):
            if (self.path / "tokenizer" / name).is_file():
                names = read_json(self.path / "tokenizer" / name, max_bytes=1 << 28).get(key)
                return task, tuple(names) if isinstance(names, list) else ()
        return None

    def forget(self) -> None:
        """Remove all but ``start.json``: training is over, and the run has weights of its own."""
        for entry in self.path.iterdir():
            if entry.name != PAGE:
                durable.remove(entry)


def complete(recipe: Recipe, run: RunFolder | None = None) -> Recipe:
    """``recipe`` with all that the model it starts from decides; as it is where it starts from none.

    With a ``run`` that was begun, the model is the one that lies there, wherever it once came from.

    Raises:
        ConfigurationError: the recipe says otherwise somewhere, or the task cannot begin with that model.
        RunError: there is no such model, or it is damaged.
    """
    origin, start = recipe.model.origin, None if run is None else Start.of(run)
    if origin is None:
        return recipe
    inherited = inherit(origin, recipe.task) if start is None else start.facts["decides"]
    given = recipe.model_dump(exclude_unset=True, by_alias=True)
    if start is None and recipe.model.token_dropout and open_origin(origin).symbols != HOUSE:
        raise ConfigurationError(
            f"model.token_dropout = {recipe.model.token_dropout} makes tokens the unknown one of our own vocabularies, "
            f"but the one in {origin} has another; leave it at 0"
        )
    return parse_recipe(completed(given, inherited, origin), where="the recipe")


def inherit(origin: str, task: str) -> dict[str, Table]:
    """What the model in ``origin`` decides about a recipe for ``task``: its tables "model", "input", "tokenizer".

    Raises:
        ConfigurationError: the task cannot begin with that model.
        RunError: there is no such model, or it is damaged.
    """
    found, schema = open_origin(origin), RECIPES[task]
    source, vectors = found.config, issubclass(schema, VectorRecipe)
    if vectors != (source.input_width is not None):
        kinds = ("vectors", "tokens") if source.input_width is None else ("tokens", "vectors")
        raise ConfigurationError(
            f"model.from: the task {task} needs a model that reads {kinds[0]}, but the one in {origin} reads {kinds[1]}"
        )
    config = config_for(source, schema.ARCHITECTURES[0], f"the task {task}", origin)
    dropped = set(COUNTED) | OF_INPUT | ({"pooling"} if config.pooling == "none" or task in UNPOOLED else set())
    tables = {} if vectors else found.reading()
    if task not in READING:
        tables.pop("input", None)
    return {"model": config.model_dump(exclude=dropped), **tables}


def config_for(source: ModelConfig, architecture: str, who: str, origin: str) -> ModelConfig:
    """``source`` as a model of ``architecture``: itself, or the encoder it has, or its decoder looking both ways.

    Raises:
        ConfigurationError: it cannot become one.
    """
    if source.architecture != architecture and (architecture != "encoder" or not _both_ways(source)):
        raise ConfigurationError(
            f'model.from: {who} needs a model with architecture = "{architecture}", but {origin} holds one with '
            f'"{source.architecture}"' + ("" if architecture != "encoder" else ", whose layers read one way only")
        )
    if architecture != "encoder":
        return source
    fields = type(source).model_fields
    table = source.model_dump() | {name: fields[name].default for name in ("decoder_layers", "tie", "head")}
    side = "decoder." if source.architecture == "decoder" else "encoder."
    kept = {name: heads for name, heads in (source.kept_heads or {}).items() if name.startswith(side)}
    table["kept_heads"] = {f"encoder.{name.removeprefix(side)}": heads for name, heads in kept.items()} or None
    if source.architecture == "decoder":
        table |= {"encoder_layers": source.decoder_layers, "source_vocabulary": source.target_vocabulary}
    biases = source.biases.model_dump() | {"output": None}
    return ModelConfig.model_validate(table | {"architecture": "encoder", "biases": biases})


def _both_ways(source: ModelConfig) -> bool:
    """Whether there are layers that can read both ways: a decoder's cannot in an LSTM, nor by T5's one-way buckets."""
    return source.architecture != "decoder" or (source.body == "transformer" and source.positions != "t5")


def bring(origin: str, run: RunFolder, task: str) -> Start:
    """Copy the model in ``origin`` into ``run``, for ``task`` to start from, unless it was brought before.

    Raises:
        RunError: it is not there, is damaged, or cannot be copied.
    """
    if (found := Start.of(run)) is not None:
        return found
    source, final = open_origin(origin), run.path / FOLDER
    temporary = durable.unfinished(final)
    try:
        durable.remove(temporary)
        temporary.mkdir()
        source.copy(temporary)
        page = {
            "origin": origin,
            "task": source.task,
            "family": source.family,
            "model": source.config.model_dump(),
            "weights_sha256": durable.digest_of(temporary / WEIGHTS).sha256,
            "decides": inherit(origin, task),
        }
        write_text(temporary / PAGE, json.dumps(page, ensure_ascii=False, indent=2) + "\n")
        durable.publish_folder(temporary, final)
    except OSError as error:
        raise RunError(f"{origin} cannot be copied into {run.path}: {error.strerror or error}") from None
    return Start(final)


def _found(tensors: Mapping[str, Tensor], name: str, source: ModelConfig, file: Path) -> Tensor:
    """The weight that ``name`` of the new model starts from."""
    inside = source.architecture == "decoder" and name.startswith("encoder.")
    other = f"decoder.{name.removeprefix('encoder.')}" if inside else name
    if other not in tensors:
        raise RunError(f"{file} has no weight {other!r}, which the new model's {name!r} should start from")
    return tensors[other]


def _copy(model: nn.Module, tensors: Mapping[str, Tensor], origin: Path) -> None:
    own = weights_of(model)
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            raise RunError(
                f"{origin} holds another model: {name} should have shape {tuple(own[name].shape)}, "
                f"but has {tuple(tensor.shape)}"
            )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
