"""Takes a published model in: as a model in memory, or as a run folder that every command can use.

The directory is read once, as data (``pretrained.directory``), and everything about it is understood before anything
is written. A run of an imported model has no training data: its recipe says how it answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from clearhead.errors import RunError
from clearhead.models.account import account
from clearhead.models.config import ModelConfig
from clearhead.pretrained.directory import ModelDirectory
from clearhead.pretrained.read import Source, understand
from clearhead.pretrained.tokenizer import read_tokenizers
from clearhead.recipes.imported import ImportedRecipe
from clearhead.recipes.table import IMPORTED
from clearhead.service.answering import answering, unheeded
from clearhead.service.device import pick_device
from clearhead.service.load import checked_dtype
from clearhead.service.report import without_none
from clearhead.service.room import refuse_too_large
from clearhead.service.run_folder import RunCard, RunFolder
from clearhead.service.tasks.imported import Tokenizers
from clearhead.service.tasks.table import FACES
from clearhead.service.tasks.task import Predictor
from clearhead.training.durable import replace_file
from clearhead.training.tensorfile import tensor_pieces
from clearhead.training.weights import weights_of

TASK_OF = {"encoder": "embedding", "encoder-decoder": "text-to-text", "decoder": "continuation"}


@dataclass(frozen=True)
class Taken:
    """A directory that was understood to the last file: model, tokenizers, and how it answers."""

    source: Source
    tokenizers: Tokenizers
    recipe: ImportedRecipe

    @property
    def config(self) -> ModelConfig:
        """Sizes and choices of the model."""
        return self.source.config


@dataclass(frozen=True)
class Imported:
    """What was taken in: which family, as a run for which task, of how many parameters, and where.

    ``unheeded`` are settings for generation that would change answers and are not heeded here, by name.
    """

    family: str
    task: str
    parameters: int
    run: RunFolder
    unheeded: dict[str, Any]


def import_pretrained(
    directory: str | Path, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> Predictor:
    """The published model in ``directory``, ready to predict.

    Args:
        directory: a local folder with config.json, safetensors and tokenizer files; no pickle and no code is touched.
        device: such as "cpu" or "cuda"; a GPU where there is one, when not given.
        dtype: of the weights; float32 when not given.

    Raises:
        RunError: the folder is no model directory, or a file in it is missing, damaged or unsafe; it is named.
        ConfigurationError: the family, or a setting, is not known or not supported; it is named.
    """
    place, number = pick_device(device), checked_dtype(dtype)
    taken = take(directory)
    wrap = FACES[taken.recipe.task].face(taken.recipe, taken.tokenizers, taken.config)
    predictor: Predictor = wrap(taken.source.build().to(device=place, dtype=number).eval())
    return predictor


def import_run(directory: str | Path, out: str | Path) -> Imported:
    """Write the published model in ``directory`` as a run into ``out``, which must be absent or empty.

    Weights keep the numbers and the dtype they have in the directory. If it fails, nothing is left in ``out``.

    Raises:
        RunError: as ``import_pretrained``, or there is something in ``out``.
        ConfigurationError: as ``import_pretrained``.
    """
    taken = take(directory)
    if taken.source.directory.path.resolve() == Path(out).resolve():
        raise RunError(f"{out} is the model's own folder; choose another with --out (nothing was changed)")
    model = taken.source.build()
    task, parameters = taken.recipe.task, account(taken.config).total
    with RunFolder.made(out, taken.recipe) as run:
        first, second = taken.tokenizers
        run.write_tokenizers((first, second), shared=first is second)
        run.write_report(_report(taken, parameters))
        _write_model(run, task, taken.config, model)
    return Imported(taken.source.family.name, task, parameters, run, unheeded(taken.source.directory, taken.config))


def take(directory: str | Path) -> Taken:
    """Understand all of ``directory``; its weights are checked, and not read yet."""
    source = understand(ModelDirectory.open(directory))
    config = source.config
    refuse_too_large(config, training=False)
    written = config.source_vocabulary if config.architecture == "encoder" else config.target_vocabulary
    read = written if config.architecture == "decoder" else config.source_vocabulary
    tokenizers = read_tokenizers(source.directory, (read, written))
    task = TASK_OF[config.architecture]
    recipe = IMPORTED[task].model_validate({"task": task} | answering(source.directory, config))
    return Taken(source, tokenizers, recipe)


def _write_model(run: RunFolder, task: str, config: ModelConfig, model: nn.Module) -> None:
    try:
        digest = replace_file(run.weights_file, tensor_pieces(weights_of(model)))
    except OSError as error:
        raise RunError(f"{run.weights_file} cannot be written: {error.strerror or error}") from None
    run.write_card(RunCard(task=task, model=config, weights_sha256=digest.sha256))


def _report(taken: Taken, parameters: int) -> dict[str, Any]:
    return {
        "task": taken.recipe.task,
        "imported": {"family": taken.source.family.name, "from": taken.source.directory.path.resolve().name},
        "model": {"parameters": parameters} | without_none(taken.config.model_dump()),
    }
