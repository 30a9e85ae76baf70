"""Opens a finished run, or a published model, and gives it the face of its task: predict, logits, states, inspect.

The run's files are checked before anything is allocated from them. How inputs are read and answers are made is the
task's affair (``service.tasks``).
"""

from __future__ import annotations

from pathlib import Path

import torch

from clearhead.errors import ConfigurationError, RunError
from clearhead.models.account import account
from clearhead.models.build import build_model
from clearhead.service.device import pick_device
from clearhead.service.room import refuse_too_large
from clearhead.service.run_folder import RunFolder
from clearhead.service.tasks.table import TASKS
from clearhead.service.tasks.task import Predictor
from clearhead.service.weights import check_count, read_weights
from clearhead.strict_json import read_json


def load(path: str | Path, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> Predictor:
    """The model of a finished run, or of a directory of a published model, ready to predict.

    Args:
        path: a run folder, or what ``clearhead export`` and others write: config.json, safetensors, tokenizer.
        device: such as "cpu" or "cuda"; a GPU where there is one, when not given.
        dtype: of the weights; float32 when not given.

    Raises:
        RunError: the folder is no finished run, or a file in it is missing or damaged; the message names it.
        ConfigurationError: the device or dtype cannot be used.
    """
    if _is_published(Path(path)):
        from clearhead.service.import_pretrained import (
            import_pretrained,
        )  # which takes from here how dtypes are checked

        return import_pretrained(path, device, dtype)
    run = RunFolder.open(path)
    card = run.card()
    if not run.weights_file.is_file():
        raise RunError(f"{run.path} has no {run.weights_file.name}: its training is not finished; go on with --resume")
    wrap = TASKS[card.task].open(run.recipe(), run, card.model)
    check_count(run.weights_file, account(card.model).stored)
    refuse_too_large(card.model, training=False)
    model = build_model(card.model, seed=0)
    read_weights(run.weights_file, model, sha256=card.weights_sha256)
    model.to(device=pick_device(device), dtype=checked_dtype(dtype)).eval()
    predictor: Predictor = wrap(model)
    return predictor


def _is_published(folder: Path) -> bool:
    """Whether it is no run, and its config.json says which family of published models it belongs to."""
    card = folder / "config.json"
    return not (folder / "recipe.toml").is_file() and card.is_file() and "model_type" in read_json(card)


def checked_dtype(dtype: torch.dtype | None) -> torch.dtype:
    """The dtype of the weights when ``dtype`` is asked for; float32 for None.

    Raises:
        ConfigurationError: it is no floating one.
    """
    if dtype is None:
        return torch.float32
    if not dtype.is_floating_point:
        raise ConfigurationError(f"dtype: expected a floating one such as torch.float32, got {dtype}")
    return dtype
