"""Which family a configuration belongs to, and what a published model of it is called: the way back out.

A family can express a configuration when its settings, read back, give the same model; what differs is named. What
plays no part in evaluation (dropout, initial values) is not compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from clearhead.errors import ConfigurationError, nearest
from clearhead.models.account import layers_of
from clearhead.models.config import ModelConfig
from clearhead.pretrained.family import Family, configuration
from clearhead.pretrained.published import Published
from clearhead.pretrained.table import FAMILIES

WITHOUT_EFFECT = {
    "dropout",
    "embedding_dropout",
    "attention_dropout",
    "feedforward_dropout",
    "token_dropout",
    "initialisation",
    "initial_std",
    "word_pooling",
}


@dataclass(frozen=True, slots=True)
class Publication:
    """A model as others read it: the object of its ``config.json`` and its tensors by their published names."""

    family: str
    settings: dict[str, Any]
    tensors: dict[str, Tensor]


def publish(
    config: ModelConfig, tensors: Mapping[str, Tensor], family: str | None = None, origin: str | None = None
) -> Publication:
    """The model of this configuration and these weights, by our names, as one of ``family``, or of one that fits.

    ``origin`` is the family it once came from, which is asked first.

    Raises:
        ConfigurationError: no family has such a model; what is in the way is named.
    """
    if family is not None and family not in FAMILIES:
        raise ConfigurationError(
            f"family: expected one of {', '.join(FAMILIES)}, got {family!r}{nearest(family, FAMILIES)}"
        )
    asked = sorted(FAMILIES.values(), key=lambda each: each.name != origin)
    found = fitting(config, asked if family is None else [FAMILIES[family]])
    settings = {"model_type": found.name} | found.describe(config)
    rows = found.rows(config)
    if foreign := sorted(tensors.keys() ^ {row.ours for row in rows}):
        raise ConfigurationError(f"a {found.name} model has other weights than this one, such as {foreign[0]!r}")
    published: dict[str, Tensor] = {}
    bare = config.architecture == "encoder" and config.head.kind == "none"
    for row in rows:
        for name, tensor in zip(row.theirs, row.unpack(tensors[row.ours]), strict=True):
            published[name.removeprefix(found.inner) if bare else name] = tensor
    return Publication(found.name, settings, published)


def fitting(config: ModelConfig, families: list[Family]) -> Family:
    """The first of these families that can express ``config``.

    Raises:
        ConfigurationError: none can; the one that comes nearest is named with what it lacks.
    """
    found = {family.name: differences(config, family) for family in families}
    for family in families:
        if not found[family.name]:
            return family
    if len(families) == 1:
        raise ConfigurationError(
            f"the family {families[0].name} has no such model: {'; '.join(found.popitem()[1][:5])}"
        )
    alike = [family.name for family in families if family.kind == config.architecture]
    name = min(alike or found, key=lambda name: len(found[name]))
    raise ConfigurationError(
        f"no family of published models has this one; {name} comes nearest, but {'; '.join(found[name][:5])}"
    )


def differences(config: ModelConfig, family: Family) -> list[str]:
    """What keeps ``family`` from expressing ``config``, each a phrase; nothing when it can."""
    if config.architecture != family.kind:
        return [f'architecture must be "{family.kind}", but is "{config.architecture}"']
    try:
        settings = family.describe(config)
        names = [name for row in family.rows(config) for name in row.theirs]
        back = configuration(family, Published(settings, family.name), names)
    except ValueError as error:
        return [str(error).splitlines()[0]]
    ours, theirs = essence(config), essence(back)
    return [f"{key} must be {theirs.get(key)!r}, but is {ours[key]!r}" for key in ours if ours[key] != theirs.get(key)]


def essence(config: ModelConfig) -> dict[str, Any]:
    """What a configuration decides in evaluation, with everything left out filled in."""
    table = config.model_dump(exclude=WITHOUT_EFFECT)
    table |= {
        "key_value_heads": config.kv_heads,
        "key_width": config.head_width,
        "value_width": config.value_head_width,
        "final_norm": config.ends_in_norm,
    }
    table["encoder_layers"], table["decoder_layers"] = layers_of(config)
    table["classes"] = config.classes if config.architecture == "encoder" and config.head.kind == "classes" else 2
    table["biases"]["output"] = config.output_bias and config.head.kind != "none"
    table["input"]["scale"] = config.width**0.5 if config.input.scale is None else config.input.scale
    if config.positions == "t5":  # distances have no end, so no setting of theirs says one
        del table["max_positions"]
    if config.architecture != "encoder-decoder":
        vocabulary = config.source_vocabulary if config.architecture == "encoder" else config.target_vocabulary
        table |= {"source_vocabulary": vocabulary, "target_vocabulary": vocabulary}
        table["tie"] = "all" if config.tie != "none" else "none"
    if config.architecture == "encoder" and config.head.kind != "vocabulary":
        table["tie"] = "all"
        table["head"]["activation"] = "gelu"
    return {key: value for name, entry in table.items() for key, value in _flat(name, entry)}


def _flat(name: str, entry: Any) -> list[tuple[str, Any]]:
    if isinstance(entry, dict):
        return [(f"{name}.{key}", value) for key, value in entry.items()]
    return [(name, entry)]
