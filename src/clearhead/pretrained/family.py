"""What a family of published models is to this software: names of settings, names of tensors, both ways.

A file a family fills this in, and nothing else knows the family: the model it describes is a ``ModelConfig`` and is
built from the same blocks as any other. The table of all families is ``pretrained.table``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from clearhead.errors import ConfigurationError, nearest
from clearhead.models.config import Architecture, ModelConfig
from clearhead.models.details import PlainActivation
from clearhead.pretrained.published import Published
from clearhead.pretrained.rows import Row

# Activations by their published names. Three of them are one function: x/2 · (1 + tanh(√(2/π) (x + 0.044715 x³))).
ACTIVATIONS: Mapping[str, PlainActivation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
}
PUBLISHED_ACTIVATIONS = {"relu": "relu", "gelu": "gelu", "gelu_tanh": "gelu_new", "silu": "silu"}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a directory holds beside settings: the published class it is of, and the names of its tensors."""

    architecture: str
    tensors: Collection[str]

    def has(self, name: str) -> bool:
        """Whether a tensor's name ends so."""
        return any(known.endswith(name) for known in self.tensors)

    def need_output(self, settings: Published, name: str, *, tied: bool) -> None:
        """Refuse a decoder that has no output matrix, neither of its own nor its embedding.

        Raises:
            ConfigurationError: it is a bare stack, which is no language model.
        """
        if not tied and not self.has(name):
            raise ConfigurationError(
                f"{settings.where}: tie_word_embeddings is false and there is no tensor {name!r}, so the model has no "
                "output matrix: give the directory of the language model, not of its bare stack"
            )


@dataclass(frozen=True, slots=True)
class Family:
    """One family.

    Attributes:
        name: its ``model_type``.
        kind: the architecture of all its models.
        architectures: the published classes that are read; the first is the one meant where none is named.
        configure: from settings and contents to our configuration.
        describe: from our configuration to settings and architecture, for models that the family can express.
        rows: all tensors of a configuration.
        inner: what the names of the stack begin with inside a model with a head, and what a bare one leaves out.
        inert: settings of this family beside the general ones that decide nothing about the function.
        unused: regular expressions of tensors that are left where they are: buffers, and heads of pre-training.
        copies: published names that a file may hold besides, each with the name it must equal.
        copies_in: the same where it depends on the configuration.
    """

    name: str
    kind: Architecture
    architectures: tuple[str, ...]
    configure: Callable[[Published, Contents], ModelConfig]
    describe: Callable[[ModelConfig], dict[str, Any]]
    rows: Callable[[ModelConfig], list[Row]]
    inner: str = ""
    inert: frozenset[str] = frozenset()
    unused: tuple[str, ...] = ()
    copies: Mapping[str, str] = field(default_factory=dict)
    copies_in: Callable[[ModelConfig], Mapping[str, str]] = lambda config: {}


def configuration(family: Family, settings: Published, tensors: Collection[str]) -> ModelConfig:
    """The configuration that these settings of ``family`` describe; ``tensors`` are the names there are.

    Raises:
        ConfigurationError: a setting is missing, unknown, or asks for what is not supported; it is named.
    """
    config = family.configure(settings, Contents(architecture(family, settings), tensors))
    settings.finish(family.inert)
    return config


def architecture(family: Family, settings: Published) -> str:
    """The published class these settings are of.

    Raises:
        ConfigurationError: it is none of those that are read.
    """
    named = settings.settings.get("architectures")
    if named is None or named == []:
        return family.architectures[0]
    if not (isinstance(named, list) and len(named) == 1 and named[0] in family.architectures):
        shown = ", ".join(str(name) for name in named) if isinstance(named, list) else repr(named)
        raise ConfigurationError(
            f"{settings.where}: architectures: expected one of {', '.join(family.architectures)} for the family "
            f"{family.name}, got {shown}{nearest(shown, family.architectures)}"
        )
    return str(named[0])


def activation(settings: Published, name: str, default: str) -> PlainActivation:
    """The activation in the setting ``name``, by our name."""
    return settings.choice(name, ACTIVATIONS, default)


def known_activation(config: ModelConfig, published: Mapping[str, str]) -> str:
    """The published name of a configuration's activation.

    Raises:
        ConfigurationError: the family has no such one.
    """
    if config.activation not in published:
        raise ConfigurationError(
            f'activation = "{config.activation}" is none of this family\'s: {", ".join(published)}'
        )
    return published[config.activation]
