"""What a recipe says of its model: sizes and choices, or a model to start ``from``, and adapters to put into it.

A model that is started from decides everything that its weights have a shape for; what may differ is how much is
dropped in training, and what the new head reads. This file merges tables; reading the other model is not its affair.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from clearhead.errors import ConfigurationError
from clearhead.models.config import ModelConfig
from clearhead.models.lora_settings import LoraSettings

Table = dict[str, Any]
FREE = {  # what may be chosen anew whatever a model starts from
    "model": frozenset(
        {
            "from",
            "lora",
            "dropout",
            "embedding_dropout",
            "attention_dropout",
            "feedforward_dropout",
            "token_dropout",
            "pooling",
            "word_pooling",
        }
    ),
    "tokenizer": frozenset({"subword_dropout", "subword_samples"}),
    "input": frozenset[str](),
}


class RecipeModel(ModelConfig):
    """``from``: a run folder, or a directory of a published model, whose weights training starts with.

    ``lora`` trains low-rank adapters beside its projections, and the new head; all else stays as it was.
    """

    origin: Annotated[str | None, Field(alias="from", min_length=1)] = None
    lora: LoraSettings | None = None

    @model_validator(mode="after")
    def _adapts_something(self) -> Self:
        if self.lora is not None and self.origin is None:
            raise ValueError('lora adapts a model that is there already: expected from = "RUN or DIR" beside it')
        return self

    @property
    def room(self) -> int:
        """``max_positions``; without bound as long as the model that is started from has not been asked for its own."""
        undecided = self.origin is not None and "max_positions" not in self.model_fields_set
        return sys.maxsize if undecided else self.max_positions

    def config(self, sizes: Mapping[str, Any]) -> ModelConfig:
        """The plain configuration, with these counted sizes.

        Raises:
            ValidationError: they contradict the rest.
        """
        return ModelConfig.model_validate(self.model_dump(exclude={"origin", "lora"}) | dict(sizes))


def completed(table: Table, inherited: Mapping[str, Table], origin: str) -> Table:
    """``table`` with everything that the model in ``origin`` decides.

    ``inherited`` are the tables "model", "input" and "tokenizer" as far as that model has them.

    Raises:
        ConfigurationError: ``table`` says otherwise somewhere; both sides are named.
    """
    whole = dict(table)
    for section, free in FREE.items():
        given, decided = table.get(section), inherited.get(section)
        if given is None and decided is None:
            continue
        if decided is None:
            _refuse_all(section, whole.pop(section), origin)
            continue
        chosen = {key: value for key, value in (given or {}).items() if key in free}
        fixed = {key: value for key, value in (given or {}).items() if key not in free}
        _refuse_other(section, fixed, decided, origin)
        whole[section] = {**fixed, **decided, **chosen}
    return whole


def _refuse_all(section: str, given: Table, origin: str) -> None:
    for key in given:
        raise ConfigurationError(
            f"{section}.{key}: {origin}, which model.from names, brings its own {section}, of which nothing can be "
            "chosen anew; leave it out"
        )


def _refuse_other(section: str, given: Table, decided: Table, origin: str) -> None:
    """Keys that nobody knows pass: the schema refuses them with the nearest that it knows."""
    for key, value in given.items():
        if key in decided and not _agree(value, decided[key]):
            raise ConfigurationError(
                f"{section}.{key} = {value!r}, but the model in {origin} has {decided[key]!r}, and its weights were "
                "trained so; leave it out"
            )


def _agree(given: Any, decided: Any) -> bool:
    """Whether what is given is decided so, too; of a table, as far as it goes."""
    if isinstance(given, dict) and isinstance(decided, dict):
        return all(key in decided and _agree(value, decided[key]) for key, value in given.items())
    return bool(given == decided)
