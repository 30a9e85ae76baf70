"""A model without some of its heads: smaller, and equal to itself with these heads silenced; and a run that holds it.

The new run is one like any other: it is loaded, evaluated, verified, looked at, and trained on from. What belongs to
the training of the old one (checkpoints, metrics, scores, the corpus, an adapter of its whole weights) stays there.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from clearhead.errors import ConfigurationError
from clearhead.inspection.capture import network_of
from clearhead.models.account import account
from clearhead.models.pruning import without
from clearhead.service.adapter import FILE as ADAPTER
from clearhead.service.head_file import HEADS
from clearhead.service.head_importance import HeadWorth
from clearhead.service.load import load
from clearhead.service.recording import LINES, MAPS
from clearhead.service.report import without_none
from clearhead.service.run_folder import RunCard, RunFolder
from clearhead.training.durable import replace_file
from clearhead.training.tensorfile import tensor_pieces
from clearhead.training.weights import weights_of

Model = TypeVar("Model")
OF_TRAINING = {ADAPTER, "checkpoints", "corpus", "metrics.jsonl", "report.json", "tensorboard", LINES, MAPS, HEADS}
WRITTEN = {"recipe.toml", "config.json", "model.safetensors"}


def prune_heads(model: Model, heads: Mapping[str, Sequence[int]]) -> Model:
    """``model`` without ``heads``, such as ``{"decoder.3.cross": [0, 5]}``: a new one, on the same device.

    It gives what ``without_heads`` gives, up to rounding, with the weights of these heads gone. Of grouped heads the
    key/value head goes with the last head that reads it. Heads are numbered anew: what was head 2 of a model without
    head 0 is its head 1.

    Args:
        model: what ``clearhead.load`` returned, or a network of this library.
        heads: numbers from 0 by the name of the attention.

    Raises:
        ConfigurationError: there is no such attention (the nearest is named) or head, or none would be left.
    """
    whole: Any = model
    smaller = without(network_of(whole), heads)
    pruned: Model = smaller if isinstance(model, nn.Module) else replace(whole, model=smaller)  # type: ignore[assignment]
    return pruned


def chosen_heads(worths: Sequence[HeadWorth], count: int) -> list[HeadWorth]:
    """The ``count`` least important heads, the least first, but never the last one of an attention.

    Raises:
        ConfigurationError: a count out of range.
    """
    left = Counter(head.name for head in worths)
    refuse_count(count, left)
    chosen: list[HeadWorth] = []
    for head in sorted(worths, key=lambda each: each.worth):
        if len(chosen) < count and left[head.name] > 1:
            left[head.name] -= 1
            chosen.append(head)
    return chosen


def refuse_count(count: int, heads: Mapping[str, int]) -> None:
    """Refuse to prune so many of these ``heads``, numbers by attention.

    Raises:
        ConfigurationError: an attention would be left without any, or the count is below 0.
    """
    most = sum(heads.values()) - len(heads)
    if not 0 <= count <= most:
        raise ConfigurationError(f"expected 0 to {most} heads to prune, as each attention keeps one, got {count}")


def by_attention(heads: Sequence[HeadWorth]) -> dict[str, list[int]]:
    """Their numbers by the name of the attention."""
    found: dict[str, list[int]] = {}
    for head in heads:
        found.setdefault(head.name, []).append(head.head)
    return found


def prune_run(run: str | Path, heads: Mapping[str, Sequence[int]], out: str | Path) -> RunFolder:
    """Write the model of ``run`` without ``heads`` as a run of its own in ``out``, which must be absent or empty.

    If it fails, nothing is left in ``out``.

    Raises:
        RunError: ``run`` is no finished run, or there is something in ``out``.
        ConfigurationError: as ``prune_heads``.
    """
    old = RunFolder.open(run)
    pruned = prune_heads(load(run, device="cpu"), heads)
    recipe = old.recipe()
    smaller = recipe.model.model_copy(update={"kept_heads": pruned.config.kept_heads})
    with RunFolder.made(out, recipe.model_copy(update={"model": smaller})) as new:
        for entry in sorted(old.path.iterdir()):
            if entry.name not in OF_TRAINING | WRITTEN and not entry.name.startswith("."):
                copy = shutil.copytree if entry.is_dir() else shutil.copy2
                copy(entry, new.path / entry.name)
        digest = replace_file(new.weights_file, tensor_pieces(weights_of(pruned.model)))
        new.write_card(RunCard(task=recipe.task, model=pruned.config, weights_sha256=digest.sha256))
        new.write_report(_report(old, pruned.config, heads))
    return new


def _report(old: RunFolder, config: Any, heads: Mapping[str, Sequence[int]]) -> dict[str, Any]:
    return {
        "task": old.card().task,
        "pruned": {"from": old.path.resolve().name, "heads": {name: list(gone) for name, gone in heads.items()}},
        "model": {"parameters": account(config).total} | without_none(config.model_dump()),
    }
