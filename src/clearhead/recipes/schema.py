"""What every recipe says, whatever its task: a seed, data, a model, a training; and what only a combination gets wrong.

Each room owns its settings; a task's own file here (``translation``, …) puts them together, strictly. ``table`` has the
list of tasks.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from clearhead.data.settings import DataFolder
from clearhead.errors import ConfigurationError, nearest
from clearhead.models.config import Architecture, ModelConfig, Pooling
from clearhead.recipes.recipe_model import RecipeModel
from clearhead.recipes.recording import RecordingSettings
from clearhead.settings import Settings
from clearhead.training.settings import TrainingSettings

COUNTED = {  # sizes of a model that are counted from data, and what decides them
    "source_vocabulary": "counted from the tokenizer; set tokenizer.vocabulary instead",
    "target_vocabulary": "counted from the tokenizer; set tokenizer.vocabulary instead",
    "classes": "counted from the labels in the training data",
}
_WAYS = [f'"{name}"' for name in get_args(Pooling) if name != "none"]
POOLED = f"{', '.join(_WAYS[:-1])} or {_WAYS[-1]}"  # the ways to one vector of the whole, as errors say them
SECTIONS = frozenset({"task", "seed", "data", "tokenizer", "model", "training", "recording"})


class Recipe(Settings):
    """Everything that decides a training run. ``data.folder`` is absolute once a recipe has been read.

    A task's recipe names its ``task`` and its kind of ``data``, the ``ARCHITECTURES`` that can learn it and the
    ``SCORES`` that ``training.watch`` may name beside the loss; the first of each is the default. ``SMOOTHING`` is the
    label smoothing where the recipe names none. ``model`` is a ``ModelConfig`` whose counted sizes are not known yet.
    """

    ARCHITECTURES: ClassVar[tuple[str, ...]]
    SCORES: ClassVar[tuple[str, ...]]
    SMOOTHING: ClassVar[float] = 0.1

    task: str
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 1
    data: DataFolder
    model: RecipeModel = RecipeModel()
    training: TrainingSettings = TrainingSettings()
    recording: RecordingSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, table: Any) -> Any:
        if not isinstance(table, dict):
            return table
        training = {"watch": [*cls.SCORES, "loss"][0], "label_smoothing": cls.SMOOTHING}
        return table | {
            "model": _with_defaults(table.get("model", {}), {"architecture": cls.ARCHITECTURES[0]}),
            "training": _with_defaults(table.get("training", {}), training),
        }

    @field_validator("model", mode="before")
    @classmethod
    def _learnable(cls, model: Any, info: ValidationInfo) -> Any:
        """A model that can learn the task, whose counted sizes nobody has written: what else it says comes later."""
        if not isinstance(model, dict):
            return model
        if given := sorted(COUNTED.keys() & model.keys()):
            raise ValueError(f"{given[0]} is {COUNTED[given[0]]}")
        architecture = model.get("architecture")
        if architecture in get_args(Architecture) and architecture not in cls.ARCHITECTURES:
            known = " or ".join(f'"{name}"' for name in cls.ARCHITECTURES)
            raise ValueError(f'the task {info.data.get("task")} needs {known}, got architecture = "{architecture}"')
        return model

    @model_validator(mode="after")
    def _with_a_head_that_learns(self) -> Self:
        if self.model.head.kind != "classes":
            raise ValueError(
                f'model.head.kind: the task {self.task} trains the head it needs, so leave it at "classes", '
                f'got "{self.model.head.kind}"'
            )
        return self

    @model_validator(mode="after")
    def _watchable(self) -> Self:
        offered = ["loss", *self.SCORES]
        if self.training.watch not in offered:
            raise ValueError(
                f"training.watch: expected one of {', '.join(offered)}, got {self.training.watch!r}"
                f"{nearest(self.training.watch, offered)}"
            )
        return self

    def largest_model(self) -> ModelConfig:
        """The model with every counted size at the bound that the recipe gives it."""
        return self.model_with({})

    def model_with(self, sizes: dict[str, Any]) -> ModelConfig:
        """The model with these counted sizes.

        Raises:
            ConfigurationError: they contradict the rest, such as two vocabularies under one tied embedding.
        """
        try:
            return self.model.config(sizes)
        except ValidationError as error:
            raise ConfigurationError(f"model: {error.errors()[0]['msg']}") from None

    def as_table(self) -> dict[str, Any]:
        """The recipe as nested tables, as an author could have written it."""
        return self.model_dump(exclude={"model": set(COUNTED)}, by_alias=True)

    def answering(self) -> dict[str, Any]:
        """The tables that belong to this task alone, such as how a translation is searched for."""
        return {name: table for name, table in self.as_table().items() if name not in SECTIONS}


def _with_defaults(table: Any, defaults: dict[str, Any]) -> Any:
    """``table`` completed from ``defaults``; what is no table is left for the schema to refuse."""
    return defaults | table if isinstance(table, dict) else table
