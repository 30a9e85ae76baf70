"""From a checked model directory to an ordinary model: settings, then shapes, then numbers.

Nothing is allocated before the settings are understood to the last one, every tensor is there in the shape they ask
for, and none is left over that nobody knows. Numbers are copied as they are: the model takes on the dtype of the file,
the widest where there are several, which holds every one of them exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce

import torch
from pydantic import ValidationError
from torch import nn

from clearhead.errors import ConfigurationError, RunError
from clearhead.models.account import account
from clearhead.models.build import build_model
from clearhead.models.config import ModelConfig
from clearhead.pretrained.directory import ModelDirectory, TensorInfo
from clearhead.pretrained.family import Family, configuration
from clearhead.pretrained.published import Published
from clearhead.pretrained.rows import Row
from clearhead.pretrained.table import family_of

SPELLINGS = ((".LayerNorm.weight", ".LayerNorm.gamma"), (".LayerNorm.bias", ".LayerNorm.beta"))  # of the first BERTs


@dataclass(frozen=True)
class Source:
    """A directory that was understood: its family, the model it describes, and where each of its tensors comes from."""

    directory: ModelDirectory
    family: Family
    config: ModelConfig
    places: Mapping[str, str]  # a published name of the family's table → the name in the directory
    dtype: torch.dtype

    def build(self) -> nn.Module:
        """The model with the weights of the directory, in its dtype, in evaluation mode, on the CPU."""
        model = build_model(self.config, seed=0).to(self.dtype).eval()
        own = dict(model.named_parameters())
        with torch.no_grad():
            for row in self.family.rows(self.config):
                own[row.ours].copy_(row.pack([self.directory.read(self.places[name]) for name in row.theirs]))
        return model


def understand(directory: ModelDirectory) -> Source:
    """What the directory holds, checked against its settings; no tensor is read, but copies of others are compared.

    Raises:
        ConfigurationError: the family, or one of its settings, is not known or not supported.
        RunError: a tensor is missing, has another shape than the settings say, or is not known.
    """
    settings = Published(directory.config, str(directory.path / "config.json"))
    family = family_of(settings)
    try:
        config = configuration(family, settings, directory.tensors.keys())
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{settings.where}: {said}") from None
    _check_count(directory, config)
    rows = family.rows(config)
    places = {name: _place(directory, family, name) for row in rows for name in row.theirs}
    infos = [directory.tensors[place] for place in places.values()]
    _check_shapes(directory, config, rows, places)
    _check_rest(directory, family, config, places)
    return Source(directory, family, config, places, reduce(torch.promote_types, [info.dtype for info in infos]))


def _check_count(directory: ModelDirectory, config: ModelConfig) -> None:
    """Refuse settings that ask for more numbers than the files hold, before anything is made after them."""
    there, asked = sum(info.numel for info in directory.tensors.values()), account(config).total
    if asked > there:
        raise RunError(
            f"{directory.path} holds {there:,} numbers, but by its config.json the model has {asked:,}: do the files "
            "belong together?"
        )


def _place(directory: ModelDirectory, family: Family, name: str) -> str:
    for candidate in _spelled(family, name):
        if candidate in directory.tensors:
            return candidate
    raise RunError(f"{directory.path}: the tensor {name!r} is missing, which a {family.name} model of its settings has")


def _spelled(family: Family, name: str) -> Iterator[str]:
    """How a name may be written: with or without what the stack's names begin with, newer or older."""
    for start in (name, name.removeprefix(family.inner)):
        yield start
        for newer, older in SPELLINGS:
            if start.endswith(newer):
                yield start.removesuffix(newer) + older


def _check_shapes(directory: ModelDirectory, config: ModelConfig, rows: list[Row], places: Mapping[str, str]) -> None:
    with torch.device("meta"):
        shapes = {name: tuple(tensor.shape) for name, tensor in build_model(config).named_parameters()}
    assert shapes.keys() == {row.ours for row in rows}, shapes.keys() ^ {row.ours for row in rows}
    for row in rows:
        for name, wanted in zip(row.theirs, row.published_shapes(shapes[row.ours]), strict=True):
            _check_tensor(directory, places[name], directory.tensors[places[name]], wanted)


def _check_tensor(directory: ModelDirectory, name: str, info: TensorInfo, wanted: tuple[int, ...]) -> None:
    if tuple(info.shape) != wanted:
        raise RunError(
            f"{info.file}: {name} should have shape {list(wanted)} by config.json, but has {list(info.shape)}"
        )
    if not info.dtype.is_floating_point:
        raise RunError(f"{info.file}: {name} should hold floating numbers, but holds {info.dtype}")


def _check_rest(directory: ModelDirectory, family: Family, config: ModelConfig, places: Mapping[str, str]) -> None:
    """Refuse tensors that nobody knows; those that repeat others must be equal to them."""
    used = set(places.values())
    known = {**family.copies, **family.copies_in(config)}
    copies = {spelled: of for name, of in known.items() for spelled in _spelled(family, name)}
    for name in directory.tensors:
        if name in used or any(re.fullmatch(pattern, name) for pattern in family.unused if name not in copies):
            continue
        if name not in copies:
            raise RunError(
                f"{directory.path}: the tensor {name!r} is not part of a {family.name} model of these settings; what "
                "it does is not known, so the model is not read"
            )
        of = _place(directory, family, copies[name])
        if not torch.equal(directory.read(name), directory.read(of)):
            raise RunError(
                f"{directory.path}: by config.json {name!r} and {of!r} are one tensor, but they differ: should "
                "tie_word_embeddings be false?"
            )
