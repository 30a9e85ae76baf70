"""Which parameters stay as they are: by patterns of names, or all but the last blocks.

A frozen parameter takes no gradient, so backward passes end above the lowest trained layer, and the optimiser, which is
made of what is trained, keeps nothing for it. Names are all that is known of a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from torch import nn

from clearhead.errors import ConfigurationError, nearest
from clearhead.training.depth import levels, stacks
from clearhead.training.settings import TrainingSettings


def freeze(model: nn.Module, settings: TrainingSettings) -> None:
    """Freeze what ``settings`` say; what was frozen before stays so.

    Raises:
        ConfigurationError: a pattern fits no parameter, there are fewer blocks than are to be trained, nothing is left
            to train, or a part to be frozen takes running statistics of the batches, which would go on changing it.
    """
    parameters = dict(model.named_parameters(remove_duplicate=False))
    frozen = {name for pattern in settings.freeze or () for name in _fitting(pattern, list(parameters))}
    if settings.freeze_all_but_last is not None:
        frozen |= set(_below_last(model, settings.freeze_all_but_last))
    for name in frozen:
        parameters[name].requires_grad_(False)
    if not any(parameter.requires_grad for parameter in parameters.values()):
        raise ConfigurationError(
            f"training.freeze: expected something to be left to train, but all {len(parameters)} parameters are frozen"
        )
    _refuse_moving_statistics(model)


def _fitting(pattern: str, names: list[str]) -> list[str]:
    """The names that ``pattern`` fits, or that lie under a part which it fits."""
    found = [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
    if not found:
        raise ConfigurationError(
            f"training.freeze: expected the name of a parameter or of a part, with * for any characters, but "
            f"{pattern!r} fits none of {len(names)}{nearest(pattern, _parts_and(names))}"
        )
    return found


def _parts_and(names: list[str]) -> list[str]:
    """Every name, and every part that a name lies in."""
    parts = {".".join(name.split(".")[:depth]) for name in names for depth in range(1, name.count(".") + 1)}
    return [*names, *sorted(parts)]


def _below_last(model: nn.Module, trained: int) -> Iterator[str]:
    """What lies below the last ``trained`` blocks of each stack."""
    for stack in stacks(model):
        if trained > stack.count:
            raise ConfigurationError(
                f"training.freeze_all_but_last = {trained}, but {stack.blocks} has {stack.count} blocks: "
                "expected at most as many, or nothing would be frozen"
            )
    return (name for name, stack, level in levels(model) if level <= stack.count - trained)


def _refuse_moving_statistics(model: nn.Module) -> None:
    for name, module in model.named_modules():
        statistics = any(buffer.endswith("running_mean") for buffer, _ in module.named_buffers(recurse=False))
        if statistics and not any(parameter.requires_grad for parameter in module.parameters()):
            raise ConfigurationError(
                f"training.freeze: {name} is a batch normalisation, whose statistics follow every batch, so it cannot "
                'be frozen; train it, or use model.norm = "layer"'
            )
